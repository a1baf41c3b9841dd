"""Processes that count together: what a killed one counted stays, and its files do not."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.metrics import read

ROOT = Path(__file__).parents[3]
LABELS = frozenset({("route", "/r"), ("method", "GET")})
DEADLINE = 60


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Any:
    script = Path(__file__).with_name("counting_processes.py")
    run = subprocess.run(
        [sys.executable, str(script), str(tmp_path_factory.mktemp("shared"))],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_whoever_is_asked_answers_for_all_living_and_ended(told: Any) -> None:
    shown = [read(text) for text in told["shown"]]
    counts = [samples["simmer_http_requests_total", LABELS | {("status", "2xx")}] for samples in shown]
    assert counts == [7, 7, 7, 12]
    for samples, count in zip(shown, counts, strict=True):
        assert samples["simmer_http_request_duration_seconds_count", LABELS] == count
        assert samples["simmer_http_request_duration_seconds_bucket", LABELS | {("le", "0.025")}] == count
        assert samples["simmer_http_request_duration_seconds_bucket", LABELS | {("le", "0.01")}] == 0
        assert samples["simmer_http_request_duration_seconds_sum", LABELS] == pytest.approx(count * 0.02)


def test_the_gauges_are_those_of_the_living(told: Any) -> None:
    shown = [read(text) for text in told["shown"]]
    assert [samples["simmer_api_streams", frozenset()] for samples in shown] == [3, 2, 0, 0]
    assert [samples["simmer_api_processes", frozenset()] for samples in shown] == [3, 2, 1, 2]


def test_the_files_of_ended_processes_are_added_up(told: Any) -> None:
    third = told["pids"][2]
    assert told["live"] == sorted(
        ["counter_0.db", "histogram_0.db", f"counter_{third}.db", f"gauge_livesum_{third}.db", f"histogram_{third}.db"]
    )


def test_while_somebody_reads_the_files_stay(told: Any) -> None:
    second = told["pids"][1]
    assert {f"counter_{second}.db", f"histogram_{second}.db"} <= set(told["while_read"])
    assert f"gauge_livesum_{second}.db" not in told["while_read"]


def test_a_master_removes_its_folder_and_those_of_killed_masters_alone(told: Any) -> None:
    assert not told["left"]
    assert told["inherited"]
    assert told["gone"]
