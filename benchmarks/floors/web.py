"""A bare Flask app that keeps jobs in Postgres and tells a worker of them: no keys, no limits, no validation.

`gunicorn -k gevent benchmarks.floors.web:app`. The body is stored as the text that came, a job is answered as the text
that Postgres makes of it, and the message takes the shortest way that kombu has, the default exchange.
"""

import os

from flask import Flask, Response, abort, request
from kombu.connection import Connection
from kombu.pools import producers

from benchmarks.floors.database import Connections

INSERT = "INSERT INTO floor_jobs (request) VALUES (%s) RETURNING id::text"
SELECT = """
SELECT row_to_json(job)::text FROM (SELECT id, status, created_at, result FROM floor_jobs WHERE id = %s) AS job
"""

app = Flask(__name__)
_connections = Connections(os.environ["SIMMER_DATABASE_URL"])
_producers = producers[Connection(os.environ["SIMMER_BROKER_URL"])]


@app.post("/jobs")
def create() -> dict[str, str]:
    """Insert a row, and publish its id."""
    with _connections.one() as connection:
        row = connection.execute(INSERT, [request.get_data(as_text=True)]).fetchone()
    assert row
    with _producers.acquire(block=True) as producer:
        producer.publish({"id": row[0]}, routing_key="floor")
    return {"id": row[0], "status": "queued"}


@app.get("/jobs/<job_id>")
def get(job_id: str) -> Response:
    """Select a row by its id."""
    with _connections.one() as connection:
        row = connection.execute(SELECT, [job_id]).fetchone()
    if row is None:
        abort(404)
    return Response(row[0], mimetype="application/json")
