"""Schemathesis against a whole Simmer: whatever the OpenAPI document allows, and much that it does not.

`SIMMER_FUZZ_EXAMPLES=1000 pytest tests/acceptance/test_schemathesis.py` looks longer.
"""

import os
from pathlib import Path

import pytest

from tests.cluster import Client
from tests.processes import Process

CONFIG = Path(__file__).with_name("schemathesis.toml")
EXAMPLES = int(os.environ.get("SIMMER_FUZZ_EXAMPLES", "10"))
SECONDS_PER_EXAMPLE = 60


@pytest.mark.timeout(300 + EXAMPLES * SECONDS_PER_EXAMPLE)
def test_the_api_does_what_its_document_says(shared: Client, tmp_path: Path) -> None:
    argv = ["schemathesis", "--config-file", str(CONFIG), "run", f"{shared.url}/openapi.json"]
    options = ["--max-examples", str(EXAMPLES), "--warnings", "off"]
    log = tmp_path / "schemathesis.log"
    with Process([*argv, *options], log=log, env={"SIMMER_FUZZ_KEY": shared.key}, cwd=tmp_path) as process:
        code = process.wait(300 + EXAMPLES * SECONDS_PER_EXAMPLE)
    assert code == 0, process.output()
