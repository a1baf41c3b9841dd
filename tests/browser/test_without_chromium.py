"""Without Chromium a run says loudly what it left out, also when pytest-xdist collects in other processes."""

import os
import subprocess
import sys
from pathlib import Path

from tests.browser.chromium import MISSING

TESTS = Path(__file__).parents[1]


def test_the_summary_of_many_processes_says_it() -> None:
    others = [f"--ignore={path}" for path in TESTS.iterdir() if path.is_dir() and path.name != "browser"]
    options = ["-q", "-p", "no:cacheprovider", "-n", "1", "-k", "wrong_key"]
    argv = [sys.executable, "-m", "pytest", *options, *others, "tests"]
    # Without a PATH there is no browser.
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")} | {"PATH": os.devnull}
    done = subprocess.run(argv, cwd=TESTS.parent, env=env, capture_output=True, text=True, timeout=100, check=False)
    assert " tests not run: 1 " in done.stdout, done.stdout
    assert f"\n{MISSING}\n" in done.stdout, done.stdout
