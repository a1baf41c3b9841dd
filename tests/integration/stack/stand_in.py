"""`python -m tests.integration.stack.stand_in HOME PLAN`: a supervisor as its own process, on stand-in processes.

PLAN is JSON: batches of `{"name", "code", "stop_grace"}`, each `code` a Python program.
"""

import json
import os
import sys
from pathlib import Path

from app.stack.console import Console
from app.stack.errors import StackError
from app.stack.folders import home_lock
from app.stack.process import ProcessSpec
from app.stack.supervisor import Supervisor


def main() -> int:
    home = Path(sys.argv[1])
    batches = [[_spec(home, **entry) for entry in batch] for batch in json.loads(sys.argv[2])]
    console = Console(sys.stdout)
    try:
        with home_lock(home) as lock, Supervisor(console, inherit=[lock]) as supervisor:
            for batch in batches:
                supervisor.start(*batch)
            console.say("all ready")
            supervisor.run(on_change=lambda: console.say(f"pids changed: {sorted(supervisor.pids)}"))
    except StackError as error:
        console.say(f"{type(error).__name__}: {error}")
        return 1
    console.say("all stopped")
    return 0


def _spec(home: Path, name: str, code: str, stop_grace: float = 30.0, ready_timeout: float = 30.0) -> ProcessSpec:
    started = home / f"{name}.ready"
    return ProcessSpec(
        name=name,
        argv=[sys.executable, "-c", code],
        env={**os.environ, "PYTHONUNBUFFERED": "1", "READY": str(started), "HOME_FOLDER": str(home)},
        ready=started.exists,
        ready_timeout=ready_timeout,
        stop_grace=stop_grace,
    )


if __name__ == "__main__":
    sys.exit(main())
