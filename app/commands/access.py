"""What commands share: where the service is, how a job is named, how they end.

The service's modules are imported when a command runs: help, and a shell that completes, wait for none of them.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import UUID

import click

from app.domain.ids import parse_public_id

if TYPE_CHECKING:
    from app.container import Container
    from app.settings import Settings

BAD_END = 3
"""Exit code of a command that waited for a job which failed, or was cancelled."""
NOT_YET = 4
"""Exit code of a command that stopped waiting for a job which goes on."""
INTERRUPTED = 130
"""Exit code after Ctrl-C."""

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


class JobId(click.ParamType["UUID"]):
    """A job's id as clients and Flower show it, or the UUID in it."""

    name = "id"

    def convert(self, value: str | UUID, param: click.Parameter | None, ctx: click.Context | None) -> UUID:
        """The UUID; what was given is not quoted back."""
        if isinstance(value, UUID):
            return value
        if found := parse_public_id(value):
            return found
        try:
            return UUID(value)
        except ValueError:
            self.fail("It is no id of a job: `resp_` and 32 hexadecimal digits.", param, ctx)


JOB_ID = JobId()


def site_settings() -> "Settings":
    """The settings; without a database in them, with those of the `simmer up` that runs in the home."""
    from app.settings import load_settings  # noqa: PLC0415 - see above
    from app.stack.runfile import with_running_stack  # noqa: PLC0415

    settings = load_settings()
    return settings if settings.database_url else with_running_stack(settings)


def running_stack(settings: "Settings") -> dict[str, str]:
    """The addresses of the `simmer up` that runs in the home; empty if none does."""
    from app.stack.private import read_json  # noqa: PLC0415
    from app.stack.runfile import FILE_NAME  # noqa: PLC0415

    return read_json(settings.home / FILE_NAME)


def container() -> "Container":
    """The parts of this process."""
    from app.container import Container  # noqa: PLC0415

    return Container(site_settings())


@contextmanager
def interruptible(parting: Callable[[], str] = str) -> Iterator[None]:
    """Leave the block on Ctrl-C with exit code 130 and, on stderr, a line of what `parting` says."""
    try:
        yield
    except KeyboardInterrupt:
        # A line of its own: the terminal shows ^C where the text stopped.
        click.echo(f"\n{parting()}".rstrip("\n"), err=True)
        sys.exit(INTERRUPTED)
