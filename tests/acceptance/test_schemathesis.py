"""Schemathesis against a whole Simmer: whatever the OpenAPI document allows, and much that it does not."""

import os
import sys
from pathlib import Path

import pytest

from tests.cluster import Client
from tests.processes import Process

EXAMPLES = int(os.environ.get("SIMMER_FUZZ_EXAMPLES", "10"))
"""Requests for each operation, and chains of requests, that are made up; `make fuzz` wants more."""
TIMEOUT = 300 + 30 * EXAMPLES

# Every check is on but one: whether good data is accepted depends on what the database holds.
CONFIG = """
seed = {seed}
request-timeout = 30.0
continue-on-failure = true
color = false
cache.enabled = false
warnings = false

[auth.openapi.bearer]
bearer = "{key}"

[generation]
database = "none"
max-examples = {examples}

[phases.stateful.generation]
max-examples = {chains}

[checks]
positive_data_acceptance.enabled = false
# Too long an address, too.
negative_data_rejection.expected-statuses = ["4xx"]

[[operations]]
# Here DELETE cancels what is active, which can be got as before.
include-path = "/v1/model/response/{{response_id}}"
checks.use_after_free.enabled = false
"""


@pytest.mark.timeout(TIMEOUT + 60)
def test_the_api_does_what_its_document_says(shared: Client, tmp_path: Path) -> None:
    seed = os.environ.get("SIMMER_FUZZ_SEED", "1")
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG.format(seed=seed, key=shared.key, examples=EXAMPLES, chains=5 * EXAMPLES))
    argv = [
        str(Path(sys.executable).with_name("schemathesis")),
        "--config-file",
        str(config),
        "run",
        f"{shared.url}/openapi.json",
    ]
    with Process(argv, log=tmp_path / "schemathesis.log", cwd=tmp_path) as process:
        code = process.wait(TIMEOUT)
    assert code == 0, process.output()
