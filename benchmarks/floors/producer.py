"""Queues jobs for the bare Celery task: `python -m benchmarks.floors.producer TASK COUNT PROMPT`."""

import argparse
from uuid import uuid4

from benchmarks.floors import tasks

TASKS = {"without_call": tasks.without_call, "with_call": tasks.with_call}


def main() -> None:
    """Insert so many rows, and publish the id of each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.floors.producer", description=__doc__)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument("count", type=int)
    parser.add_argument("prompt")
    options = parser.parse_args()
    for _ in range(options.count):
        job_id = uuid4()
        tasks.insert(job_id, options.prompt)
        TASKS[options.task].delay(str(job_id))


if __name__ == "__main__":
    main()
