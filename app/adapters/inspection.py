"""Asking Celery's nodes over the broker: who is there, what they take, how much they hold, how they are set up."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from app.adapters.queue import celery_config
from app.domain.errors import UnavailableError
from app.settings import Settings

KOMBU_VISIBILITY_TIMEOUT = 3600
"""What a Celery application has that sets none."""
_QUESTIONS = ("ping", "active_queues", "stats", "conf")


@dataclass(frozen=True, slots=True)
class Node:
    """A worker, or beat, that answered. `slots` and `visibility_timeout` are None if it did not say."""

    name: str
    queues: tuple[str, ...] = ()
    slots: int | None = None
    visibility_timeout: float | None = None

    @property
    def is_beat(self) -> bool:
        """Beat answers to a ping and to nothing else."""
        return not self.queues and self.slots is None


class NodeInspector:
    """Asks all nodes at once. Any other application on the same broker database answers, too."""

    def __init__(self, settings: Settings) -> None:
        """Connect lazily."""
        settings.require("broker_url")
        self._celery = Celery("simmer-inspect", set_as_current=False)
        self._celery.conf.update({**celery_config(settings), "broker_connection_timeout": 2})

    def nodes(self, timeout: float = 1.0) -> list[Node]:
        """Those that answer within `timeout` seconds, by name. Raises UnavailableError if the broker does not."""
        with ThreadPoolExecutor(len(_QUESTIONS)) as pool:
            told = dict(
                zip(_QUESTIONS, pool.map(lambda question: self._ask(question, timeout), _QUESTIONS), strict=True)
            )
        names = sorted({name for answers in told.values() for name in answers})
        return [_node(name, {question: told[question].get(name) for question in _QUESTIONS}) for name in names]

    def _ask(self, question: str, timeout: float) -> dict[str, Any]:
        try:
            ask: Callable[[], Any] = getattr(self._celery.control.inspect(timeout=timeout), question)
            return ask() or {}
        except (OperationalError, RedisError, OSError) as error:
            raise UnavailableError("The broker does not answer. Check that it runs.") from error


def _node(name: str, told: dict[str, Any]) -> Node:
    queues = told["active_queues"] or []
    pool = (told["stats"] or {}).get("pool") or {}
    slots = pool.get("max-concurrency")
    return Node(
        name,
        tuple(queue["name"] for queue in queues),
        slots if isinstance(slots, int) else None,
        _visibility_timeout(told["conf"]),
    )


def _visibility_timeout(conf: Any) -> float | None:
    if not isinstance(conf, dict):
        return None
    options = conf.get("broker_transport_options")
    timeout = options.get("visibility_timeout") if isinstance(options, dict) else None
    return timeout if isinstance(timeout, int | float) else KOMBU_VISIBILITY_TIMEOUT
