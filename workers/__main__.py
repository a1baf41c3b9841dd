"""`python -m workers worker | beat | inspect …`: Celery's own commands for this app, without Flower.

`celery -A workers.celery_app …` does the same, but imports Flower into every process: 11 MB, and the time it takes, for
each health check too.
"""

from celery import maybe_patch_concurrency

# Before anything else is imported, as `celery` does it: `-P gevent` changes the standard library.
maybe_patch_concurrency()

import click  # noqa: E402
from celery.bin.base import CLIContext  # noqa: E402
from celery.bin.beat import beat  # noqa: E402
from celery.bin.control import inspect  # noqa: E402
from celery.bin.worker import worker  # noqa: E402

from app.domain.errors import ConfigurationError  # noqa: E402


@click.group(commands=[worker, beat, inspect])
@click.option("-q", "--quiet", is_flag=True, help="Say less at the start.")
@click.pass_context
def commands(context: click.Context, quiet: bool) -> None:
    """Celery's commands for Simmer's app; `celery -A workers.celery_app` has the others too."""
    try:
        from workers.celery_app import app  # noqa: PLC0415 - it reads the settings
    except ConfigurationError as error:
        raise click.ClickException(error.message) from None
    context.obj = CLIContext(app=app, no_color=False, workdir=None, quiet=quiet)


if __name__ == "__main__":
    commands(prog_name="python -m workers", auto_envvar_prefix="CELERY")
