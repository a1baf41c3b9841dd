"""The `simmer` command: names of commands, and the modules they are in."""

import sys

import click

from app.commands.lazy import Later, LazyGroup
from app.domain.errors import ServiceError

# Each with the first sentence of its own help; a test keeps the two equal.
COMMANDS = (
    Later("up", "app.stack.commands", "Run everything on this machine until Ctrl-C."),
    Later("demo", "app.stack.commands", "Start everything, run the contract's example, stop."),
    Later("destroy", "app.stack.commands", "Delete the jobs, keys and settings kept in SIMMER_HOME."),
    Later("migrate", "app.commands.migrate", "Create or upgrade the database schema."),
    Later("settings", "app.commands.settings", "List every setting with its default, as a Markdown table."),
    Later("doctor", "app.commands.doctor", "Check everything that could be wrong; change nothing."),
    Later("queue", "app.commands.queue", "Show what waits, what runs and who works on it, until Ctrl-C."),
    Later("jobs", "app.commands.jobs", "Look at the jobs of all keys, cancel, requeue and follow them."),
    Later("submit", "app.commands.submit", "Submit PROMPT; with --wait, print the answer as it comes."),
    Later("purge", "app.commands.purge", "Delete results whose retention is over."),
    Later("models", "app.commands.models", "Work with the models file."),
    Later("keys", "app.commands.keys", "Issue, limit, list, rotate and revoke API keys."),
    Later("webhooks", "app.commands.webhooks", "See and change webhook endpoints, send events again."),
    Later("encryption", "app.commands.encryption", "Make, count and rotate encryption keys."),
    Later("exporter", "app.commands.exporter", "Serve the figures of queues and jobs to Prometheus."),
    Later("completion", "app.commands.completion", "Print the completion script of SHELL."),
)


@click.group(cls=LazyGroup, commands=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="simmer", prog_name="simmer")
def cli() -> None:
    """Simmer: background mode for any model API."""


def main() -> None:
    """Entry point: what is wrong goes to stderr in one line, with exit code 1."""
    try:
        cli(prog_name="simmer")
    except ServiceError as error:
        click.echo(f"Error: {error.message}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
