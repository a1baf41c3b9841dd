"""The commands of the embedded stack: `simmer up`, `simmer demo`, `simmer destroy`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from app.domain.errors import ConfigurationError
from app.settings import load_settings
from app.stack.assembly import Options
from app.stack.demo import Demo
from app.stack.destroy import destroy_home
from app.stack.errors import StackError, StopRequestedError
from app.stack.up import run_up

PORT = click.IntRange(0, 65535)


@contextmanager
def _errors_in_words() -> Iterator[None]:
    try:
        yield
    except (StackError, ConfigurationError, OSError) as error:
        raise click.ClickException(str(error)) from error


@click.command()
@click.option("--port", type=PORT, default=8000, show_default=True, help="Port of the API; 0 finds a free one.")
@click.option("--flower-port", type=PORT, default=5555, show_default=True, help="Port of Flower; 0 finds a free one.")
@click.option("--no-model", is_flag=True, help="Start no model server; SIMMER_MODELS or --models names yours.")
@click.option(
    "--models",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Models file to use instead of the embedded model.",
)
@click.option(
    "--worker-concurrency",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    help="Jobs that run at the same time.",
)
def up(port: int, flower_port: int, no_model: bool, models: Path | None, worker_concurrency: int) -> None:
    """Run everything on this machine until Ctrl-C.

    Its state is kept in SIMMER_HOME.
    """
    options = Options(port, flower_port, not no_model, models, worker_concurrency)
    with _errors_in_words():
        run_up(load_settings(), options, sys.stdout)


@click.command()
def demo() -> None:
    """Start everything, run the contract's example, stop.

    In a temporary home, of which nothing is left.
    """
    with _errors_in_words():
        try:
            completed = Demo(load_settings(), sys.stdout).run()
        except StopRequestedError:
            raise click.Abort from None
    sys.exit(0 if completed else 1)


@click.command()
@click.option("--yes", is_flag=True, help="Don't ask.")
def destroy(yes: bool) -> None:
    """Delete the jobs, keys and settings kept in SIMMER_HOME."""
    with _errors_in_words():
        home = load_settings().home.absolute()
        if not yes:
            click.confirm(f"Delete everything Simmer keeps in {home}?", abort=True)
        destroy_home(home)
