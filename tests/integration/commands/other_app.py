"""Somebody else's Celery application, which has come to share Simmer's broker, with a visibility timeout of its own."""

import os

from celery import Celery

app = Celery("other", broker=os.environ["SIMMER_BROKER_URL"])
app.conf.broker_transport_options = {"visibility_timeout": 60}
