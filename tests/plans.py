"""What a query sends, and how Postgres would go about it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, event


@dataclass(frozen=True, slots=True)
class Plan:
    """The nodes of one statement's plan, and the indexes they use."""

    nodes: list[dict[str, Any]]

    @property
    def indexes(self) -> set[str]:
        return {node["Index Name"] for node in self.nodes if "Index Name" in node}

    @property
    def read_whole(self) -> set[str]:
        return {node["Relation Name"] for node in self.nodes if node["Node Type"] == "Seq Scan"}

    @property
    def kinds(self) -> set[str]:
        return {node["Node Type"] for node in self.nodes}


def statements(connection: Connection, query: Callable[[], object]) -> list[tuple[str, dict[str, Any]]]:
    """What the query sends, with its parameters."""
    sent: list[tuple[str, dict[str, Any]]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        sent.append((statement, dict(parameters)))

    event.listen(connection, "before_cursor_execute", note)
    query()
    event.remove(connection, "before_cursor_execute", note)
    return sent


def explain(connection: Connection, statement: str, parameters: dict[str, Any], *, generic: bool) -> Plan:
    """The plan for these parameters, or the one for any, which Postgres may keep for a prepared statement."""
    if generic:
        numbered = statement % {name: f"${number}" for number, name in enumerate(parameters, 1)}
        found = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON, GENERIC_PLAN) {numbered}").scalar_one()
    else:
        found = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters).scalar_one()
    return Plan(list(_nodes(found[0]["Plan"])))


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", []):
        yield from _nodes(child)
