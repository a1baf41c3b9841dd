"""The states of a job and the only moves between them.

This table feeds three places that must never disagree: the pure check here, the `WHERE status IN (…)` of every
guarded UPDATE (`app.db.jobs.move`), and the CHECK constraints of the schema.
"""

from enum import StrEnum

from app.domain.errors import IllegalMoveError


class Status(StrEnum):
    """The contract's five words. Each comment says who moves a job out of the state, also after a crash."""

    QUEUED = "queued"
    """A worker claims it. If its message was lost the sweep publishes it again; after `queue_timeout` the sweep
    fails it. Its owner may cancel it."""

    IN_PROGRESS = "in_progress"
    """The worker that holds the lease settles it. If that worker died the lease runs out and the sweep requeues
    or fails it; if it ignored its hard limit the sweep fails it. Its owner or an administrator may cancel it."""

    COMPLETED = "completed"
    """Final. The purge deletes it after the retention."""

    FAILED = "failed"
    """Final. The purge deletes it after the retention."""

    CANCELLED = "cancelled"
    """Final. The purge deletes it after the retention."""

    @property
    def terminal(self) -> bool:
        """Whether the state never changes again."""
        return self in TERMINAL


TERMINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})
ACTIVE = frozenset(Status) - TERMINAL


class Move(StrEnum):
    """What can happen to a job. `sources` and `target` say from where to where."""

    CLAIM = "claim"
    COMPLETE = "complete"
    FAIL = "fail"
    EXPIRE = "expire"
    REQUEUE = "requeue"
    CANCEL = "cancel"

    @property
    def sources(self) -> frozenset[Status]:
        """The states this move may start from."""
        return _MOVES[self][0]

    @property
    def target(self) -> Status:
        """The state this move ends in."""
        return _MOVES[self][1]

    def check(self, status: Status) -> Status:
        """Return the state after this move from `status`; raise IllegalMoveError if there is no such move."""
        if status not in self.sources:
            raise IllegalMoveError(f"A job that is {status} cannot {self}.")
        return self.target


_MOVES: dict[Move, tuple[frozenset[Status], Status]] = {
    Move.CLAIM: (frozenset({Status.QUEUED}), Status.IN_PROGRESS),
    Move.COMPLETE: (frozenset({Status.IN_PROGRESS}), Status.COMPLETED),
    Move.FAIL: (frozenset({Status.IN_PROGRESS}), Status.FAILED),
    Move.EXPIRE: (frozenset({Status.QUEUED}), Status.FAILED),
    Move.REQUEUE: (frozenset({Status.IN_PROGRESS}), Status.QUEUED),
    Move.CANCEL: (ACTIVE, Status.CANCELLED),
}
