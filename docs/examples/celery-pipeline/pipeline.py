"""Have a model answer every line of a file: `python pipeline.py FILE`."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path

from celery import chord
from celery.canvas import Signature
from tasks import PATIENCE, collect, report, submit


def pipeline(prompts: Iterable[str]) -> Signature:
    """All prompts at once, each submitted and then collected; `report` runs when the last answer is there."""
    return chord([submit.s(prompt) | collect.s() for prompt in prompts], report.s())


def main() -> None:
    """Print one JSON object for each line of the file."""
    prompts = Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
    for answer in pipeline(prompts).apply_async().get(timeout=PATIENCE + 600):
        sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
