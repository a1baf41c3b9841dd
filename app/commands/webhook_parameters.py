"""Ids and times as the commands about webhooks take them."""

from datetime import UTC, datetime
from uuid import UUID

import click

from app.domain.ids import parse_prefixed


class PrefixedId(click.ParamType[UUID]):
    """An id as clients see it, or the UUID in it."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.name = prefix

    def convert(self, value: str | UUID, param: click.Parameter | None, ctx: click.Context | None) -> UUID:
        """The UUID; what was given is not quoted back."""
        if isinstance(value, UUID):
            return value
        found = parse_prefixed(self.prefix, value)
        if found is None:
            self.fail(f"It must be `{self.prefix}_` and 32 hexadecimal digits.", param, ctx)
        return found


class Moment(click.ParamType[datetime]):
    """A time in ISO 8601, UTC unless it says otherwise."""

    name = "time"

    def convert(self, value: str | datetime, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The time; what was given is not quoted back."""
        if isinstance(value, datetime):
            return value
        try:
            found = datetime.fromisoformat(value)
        except ValueError:
            self.fail("It must look like 2026-01-31T12:00:00Z.", param, ctx)
        return found if found.tzinfo else found.replace(tzinfo=UTC)
