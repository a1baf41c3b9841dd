"""What Simmer does, in verbs. No Flask, Celery, Redis or HTTP client in here."""
