"""One technology each: the queue is Celery's."""
