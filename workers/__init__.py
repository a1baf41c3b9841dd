"""The Celery processes: job workers, system workers and beat. Nothing here loads Flask."""
