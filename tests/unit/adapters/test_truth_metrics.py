"""The exporter's figures, and what is left out when something does not answer."""

from app.adapters.truth_metrics import Seen, TruthCollector
from tests.metrics import sample_truth

BACKLOGS = {"default": 5}


def samples(seen: Seen) -> dict[tuple[str, tuple[str, ...]], float]:
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in TruthCollector(lambda: seen).collect()
        for sample in family.samples
    }


def test_it_shows_what_was_seen() -> None:
    shown = samples(Seen(sample_truth(), BACKLOGS, {"default": 2}))
    assert shown["simmer_jobs", ("flex", "queued")] == 3
    assert shown["simmer_jobs", ("flex", "in_progress")] == 1
    assert shown["simmer_oldest_queued_seconds", ("sync",)] == 2.5
    assert shown["simmer_jobs_ended_total", ("gpt-4.1", "completed")] == 1
    assert shown["simmer_upstream_calls_total", ("gpt-4.1", "completed")] == 2
    assert shown["simmer_reruns_total", ("gpt-4.1", "completed")] == 1
    assert shown["simmer_tokens_total", ("gpt-4.1", "input")] == 7
    assert shown["simmer_tokens_total", ("gpt-4.1", "output")] == 9
    assert shown["simmer_webhook_lag_seconds", ()] == 30
    assert shown["simmer_webhook_deliveries_ended_total", ("delivered",)] == 8
    assert shown["simmer_webhook_deliveries_ended_total", ("endpoint_gone",)] == 0
    assert shown["simmer_swept_total", ("rescued",)] == 2
    assert shown["simmer_swept_total", ("expired",)] == 0
    assert shown["simmer_purged_total", ("jobs",)] == 6
    assert shown["simmer_chore_age_seconds", ("sweep",)] == 4
    assert shown["simmer_workers", ("default",)] == 2
    assert shown["simmer_broker_messages", ("default",)] == 5


def test_a_histogram_adds_up() -> None:
    shown = samples(Seen(sample_truth()))
    key = ("gpt-4.1", "completed")
    assert shown["simmer_job_run_seconds_bucket", (*key, "2.5")] == 0
    assert shown["simmer_job_run_seconds_bucket", (*key, "5.0")] == 1
    assert shown["simmer_job_run_seconds_bucket", (*key, "+Inf")] == 1
    assert shown["simmer_job_run_seconds_count", key] == 1
    assert shown["simmer_job_run_seconds_sum", key] == 5.0


def test_what_does_not_answer_shows_no_old_figures() -> None:
    shown = samples(Seen(None, BACKLOGS))
    assert shown["simmer_database_up", ()] == 0
    assert shown["simmer_broker_up", ()] == 1
    assert {name for name, _ in shown} == {
        "simmer_database_up",
        "simmer_broker_up",
        "simmer_broker_messages",
        "simmer_exporter_look_seconds",
        "simmer_exporter_look_age_seconds",
    }
    assert samples(Seen(sample_truth()))["simmer_broker_up", ()] == 0
