"""How gunicorn serves the API: `gunicorn --config python:app.gunicorn "app.factory:create_app()"`."""

import os

from app.open_files import raise_limit

# Greenlets: a request waits on Postgres or the broker, hardly ever on this process. WEB_CONCURRENCY sets how
# many processes there are, as gunicorn itself has it.
worker_class = "gevent"
worker_connections = 10_000
# A worker that does not come back to its loop for this long is killed. Requests may take longer.
timeout = 60
# On SIGTERM running requests may finish for this long.
graceful_timeout = 30
# Longer than the usual 60 s of a load balancer, which must be the one to close idle connections.
keepalive = 75
# Heartbeat files on a disk can block; in memory they do not.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None  # noqa: S108, PTH112
# The request log is the app's own, with ids.
accesslog = None
# gunicorn's control socket lies in the user's home: two deployments of one user would share it.
control_socket_disable = True

# Here, in the master: its workers inherit the limit.
raise_limit()
