"""`.ci/audit.py` around a pip-audit that says what the real one can say: "not asked" must not pass as "clean"."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.compose import ROOT

CLEAN = {"name": "flask", "version": "3.1.0", "vulns": []}
BAD = {
    "name": "gunicorn",
    "version": "1.0",
    "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["1.1"], "description": "bad"}],
}
UNFIXED = {"name": "flower", "version": "2.2", "vulns": [{"id": "GHSA-2", "aliases": [], "fix_versions": []}]}
UNKNOWN = {"name": "celery", "skip_reason": "Dependency not found on PyPI and could not be audited: celery (5.7.0)"}
OTHER = {"name": "local", "skip_reason": "distribution marked as editable"}
CUT_OFF = "requests.exceptions.ConnectionError: Max retries exceeded with url: /pypi/flask/3.1.0/json"

OUTCOMES: dict[str, tuple[Any, int, str, int, int, str]] = {
    # What pip-audit prints, its code and its stderr; then our code, the code with --required, and words that we print.
    "nothing known": ([CLEAN], 0, "", 0, 0, "No known vulnerability in 1 packages."),
    "one known": ([CLEAN, BAD], 1, "", 1, 1, "gunicorn 1.0: PYSEC-1, CVE-1, mended in 1.1"),
    "one that nobody mended": ([UNFIXED], 1, "", 1, 1, "flower 2.2: GHSA-2, mended in no release"),
    "one known, others unknown": ([UNKNOWN, BAD], 1, "", 1, 1, "PYSEC-1"),
    "none looked up": (
        [UNKNOWN, UNKNOWN],
        0,
        "",
        0,
        1,
        "NOT AUDITED: the advisory service cannot be reached from here (2",
    ),
    "no connection": (None, 1, CUT_OFF, 0, 1, "NOT AUDITED: the advisory service cannot be reached"),
    "one not looked up": ([CLEAN, UNKNOWN], 0, "", 1, 1, "celery: Dependency not found"),
    "all skipped for another reason": ([UNKNOWN, OTHER], 0, "", 1, 1, "local: distribution marked as editable"),
    "no package": ([], 0, "", 1, 1, "no answer that can be used"),
    "a lock that is none": (None, 1, "ERROR: invalid requirements input", 1, 1, "invalid requirements input"),
    "a crash after a clean answer": ([CLEAN], 3, "killed", 1, 1, "pip-audit ended with 3"),
    "words instead of JSON": ("No known vulnerabilities found", 0, "", 1, 1, "no answer that can be used"),
}


def audit(folder: Path, name: str, *options: str) -> subprocess.CompletedProcess[str]:
    packages, code, errors, *_ = OUTCOMES[name]
    said = packages if isinstance(packages, str) else json.dumps({"dependencies": packages, "fixes": []})
    lines = ["import sys", f"sys.stderr.write({errors!r})", f"sys.exit({code})"]
    if packages is not None:
        lines.insert(1, f"sys.stdout.write({said!r})")
    (folder / "pip_audit.py").write_text("\n".join(lines))
    command = [sys.executable, str(ROOT / ".ci" / "audit.py"), *options, "some.lock"]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)


@pytest.mark.parametrize("name", OUTCOMES)
def test_the_verdict(tmp_path: Path, name: str) -> None:
    *_, expected, strict, words = OUTCOMES[name]
    done = audit(tmp_path, name)
    assert (done.returncode, words in done.stdout) == (expected, True), done
    assert audit(tmp_path, name, "--required").returncode == strict
