"""Builds the docs as a site, as `make docs` does, without a network."""

import os
import subprocess
import sys
from pathlib import Path

from tests.fences import ROOT

# A proxy that is not there: who asks the network for something does not get it.
_NO_NETWORK = {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9", "no_proxy": ""}


def build(folder: Path, **variables: str) -> None:
    """Raise AssertionError with what mkdocs says unless it builds strictly. `variables` add to the environment."""
    env = {**os.environ, **_NO_NETWORK, "NO_MKDOCS_2_WARNING": "1", **variables}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
