"""Ask pip-audit about every locked package, and tell "nothing known" from "nobody was asked".

    python .ci/audit.py [--required] LOCK...

pip-audit itself ends with 0 and "No known vulnerabilities found" when it could look up none of the packages, as where
only a mirror of PyPI can be reached. Exit code 0: nothing known. 1: a known vulnerability, or any trouble. Where the
advisories cannot be reached: a line that says so, and 0, or 1 with `--required`.
"""

import argparse
import json
import subprocess
import sys
from typing import Any

UNREACHABLE = 2
_NOT_FOUND = "Dependency not found on PyPI"
# What pip-audit says when it cannot connect; that ends it, before any result.
_NO_CONNECTION = ("Could not connect to", "Failed to establish a new connection", "ConnectionError", "Max retries")


def main() -> int:
    """The exit code, after its reasons on standard output."""
    parser = argparse.ArgumentParser(description="Look for known vulnerabilities in locked packages.")
    parser.add_argument("--required", action="store_true", help="fail when the advisories cannot be reached")
    parser.add_argument("locks", nargs="+", metavar="LOCK")
    options = parser.parse_args()
    code, lines = verdict(_pip_audit(options.locks))
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return int(options.required) if code == UNREACHABLE else code


def _pip_audit(locks: list[str]) -> subprocess.CompletedProcess[str]:
    files = [part for lock in locks for part in ("--requirement", lock)]
    options = ["--disable-pip", "--require-hashes", "--format", "json", "--progress-spinner", "off"]
    command = [sys.executable, "-m", "pip_audit", *options, *files]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)  # noqa: S603 - our own words


def verdict(done: subprocess.CompletedProcess[str]) -> tuple[int, list[str]]:
    """Exit code and what to print."""
    try:
        packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return _no_result(done)
    found = [_described(package, known) for package in packages for known in package.get("vulns", ())]
    skipped = [package for package in packages if "skip_reason" in package]
    if found:
        return 1, [*found, f"{len(found)} known vulnerabilities: `make lock UPGRADE=--upgrade` takes newer releases."]
    if packages and all(_NOT_FOUND in package.get("skip_reason", "") for package in packages):
        return UNREACHABLE, [_not_audited(f"{len(packages)} packages")]
    if skipped or not packages or done.returncode:
        return 1, [f"{package['name']}: {package['skip_reason']}" for package in skipped] or _last_words(done)
    return 0, [f"No known vulnerability in {len(packages)} packages."]


def _no_result(done: subprocess.CompletedProcess[str]) -> tuple[int, list[str]]:
    if done.returncode and any(sign in done.stderr for sign in _NO_CONNECTION):
        return UNREACHABLE, [_not_audited("no package was looked up")]
    return 1, _last_words(done)


def _not_audited(what: str) -> str:
    return f"NOT AUDITED: the advisory service cannot be reached from here ({what})."


def _described(package: dict[str, Any], known: dict[str, Any]) -> str:
    names = ", ".join(dict.fromkeys([known["id"], *known.get("aliases", ())]))
    mended = ", ".join(known.get("fix_versions", ())) or "no release"
    return f"{package['name']} {package['version']}: {names}, mended in {mended}"


def _last_words(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [f"pip-audit ended with {done.returncode} and no answer that can be used.", done.stderr.strip()[-2_000:]]


if __name__ == "__main__":
    sys.exit(main())
