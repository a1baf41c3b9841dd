"""Spans, and the context that joins them over processes. Until `turn_on()` all of it costs next to nothing."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from functools import wraps
from types import MappingProxyType
from typing import Literal, ParamSpec, Protocol, Self, TypeVar

Kind = Literal["internal", "server", "client", "producer", "consumer"]
Attribute = str | int | float | bool
P = ParamSpec("P")
R = TypeVar("R")

CARRIED = ("traceparent", "tracestate")
"""The headers of W3C's Trace Context, of HTTP and of messages."""


class Tracer(Protocol):
    """What makes spans. A span that ends with an error says of which kind, never what its message was."""

    def span(self, name: str, kind: Kind, attributes: Mapping[str, Attribute]) -> AbstractContextManager[object]:
        """A span for the block, inside of the one that is open."""
        ...

    def note(self, name: str | None, attributes: Mapping[str, Attribute]) -> None:
        """Give the open span attributes, and perhaps another name. With `error.type` among them it has failed."""
        ...

    def carrier(self) -> dict[str, str]:
        """Headers with which another process goes on from the open span."""
        ...

    def continued(self, carrier: Mapping[str, str]) -> AbstractContextManager[object]:
        """For the block, go on from where these headers come from; if there are none, begin anew."""
        ...

    def flush(self, seconds: float) -> None:
        """Send the spans that have not left yet, for so long at most."""
        ...


class _Nothing:
    """A context manager that can be used any number of times, also at once."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return


_NOTHING = _Nothing()
_NO_ATTRIBUTES: Mapping[str, Attribute] = MappingProxyType({})
_tracer: Tracer | None = None
_upstream = True


def turn_on(tracer: Tracer | None, *, upstream: bool = True) -> None:
    """Have this process trace, or stop; `upstream` says whether model servers are told."""
    global _tracer, _upstream
    _tracer, _upstream = tracer, upstream


def is_on() -> bool:
    """Whether this process traces."""
    return _tracer is not None


def span(
    name: str, kind: Kind = "internal", attributes: Mapping[str, Attribute] = _NO_ATTRIBUTES
) -> AbstractContextManager[object]:
    """A span for the block. No attribute may hold a prompt, an answer or a secret."""
    return _tracer.span(name, kind, attributes) if _tracer else _NOTHING


def traced(name: str, kind: Kind = "internal") -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A span for each call of the function."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @wraps(function)
        def within(*args: P.args, **kwargs: P.kwargs) -> R:
            if _tracer is None:
                return function(*args, **kwargs)
            with _tracer.span(name, kind, _NO_ATTRIBUTES):
                return function(*args, **kwargs)

        return within

    return decorate


def note(attributes: Mapping[str, Attribute], name: str | None = None) -> None:
    """Give the open span attributes, and perhaps another name."""
    if _tracer:
        _tracer.note(name, attributes)


def carrier() -> dict[str, str]:
    """Headers with which another process of ours goes on from the open span; none if this one does not trace."""
    return _tracer.carrier() if _tracer else {}


def outgoing() -> dict[str, str]:
    """The same for a model server, if it is to be told."""
    return carrier() if _upstream else {}


def continued(headers: Mapping[str, str | None]) -> AbstractContextManager[object]:
    """For the block, go on from where these headers come from."""
    if _tracer is None:
        return _NOTHING
    return _tracer.continued({name: value for name in CARRIED if isinstance(value := headers.get(name), str)})


def flush(seconds: float) -> None:
    """Send the spans that have not left yet, for so long at most: before an end that ends all threads."""
    if _tracer:
        _tracer.flush(seconds)
