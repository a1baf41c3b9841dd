"""Every fault that the soak may inject, by name."""

from tests.faults import machine_faults as machines
from tests.faults import part_faults as parts
from tests.faults.scene import Fault

FAULTS: dict[str, Fault] = {
    fault.__name__: fault
    for fault in (
        machines.api_killed,
        machines.api_stopped,
        parts.commit_reply_swallowed,
        machines.worker_killed,
        machines.all_workers_killed,
        machines.worker_frozen_then_killed,
        machines.worker_frozen_past_its_lease,
        machines.worker_stopped,
        parts.broker_killed_and_emptied,
        parts.broker_flushed,
        parts.broker_frozen,
        parts.broker_full,
        parts.broker_link_half_open,
        parts.postgres_killed,
        parts.disk_full,
        parts.jobs_table_locked,
        parts.backends_terminated,
        parts.worker_cut_off_from_postgres,
        parts.connections_reset,
        parts.slow_network,
        parts.upstream_hangs,
        parts.upstream_breaks_off,
        parts.upstream_refuses,
        machines.job_that_kills_its_worker,
        parts.tasks_delivered_ten_times,
        machines.clocks_wrong,
        machines.beat_killed,
        machines.system_worker_killed,
        parts.tasks_terminated_by_an_administrator,
        parts.running_streams_lost,
    )
}
RESTART_AN_API = frozenset({"api_killed", "api_stopped", "clocks_wrong"})
"""Those after which a client may wait longer than its deadline: gunicorn listens before its worker can answer."""
