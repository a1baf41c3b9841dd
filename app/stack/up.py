"""`simmer up`: run the whole stack in one terminal until Ctrl-C."""

from typing import IO

from app.settings import Settings
from app.stack.assembly import Options, running_stack
from app.stack.console import Console
from app.stack.errors import StopRequestedError
from app.stack.example import PATH, curl
from app.stack.runfile import Addresses


def run_up(settings: Settings, options: Options, stream: IO[str]) -> None:
    """Run until a stop signal, whenever it comes. Raises StackError when something doesn't start."""
    console = Console(stream)
    try:
        with running_stack(settings, options, console) as stack:
            console.block(banner(stack.addresses, str(stack.runfile.path)))
            stack.supervisor.run(on_change=stack.write_runfile)
            console.say("stopping; press Ctrl-C once more to kill what is slow")
    except StopRequestedError:
        console.say("stopped while starting")
    else:
        console.say("stopped")


def banner(addresses: Addresses, runfile: str) -> str:
    """Where everything is, and a line to paste."""
    model = addresses.model_url or "your own, as in the models file"
    return f"""
  Simmer is ready.

  API       {addresses.api_url}{PATH}
  API key   {addresses.api_key}
  Docs      {addresses.api_url}/docs
  Flower    {addresses.flower_url}  (user {addresses.flower_user}, password {addresses.flower_password})
  Model     {model}
  Details   {runfile}

  Try it:

{curl(addresses.api_url, addresses.api_key)}
"""
