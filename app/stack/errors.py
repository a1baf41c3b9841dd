"""What can go wrong while the stack starts; each message says what to do next."""


class StackError(Exception):
    """The stack can't do what was asked; the message is for the person at the terminal."""


class StartError(StackError):
    """A process ended or stayed silent while it was being started."""


class HomeBusyError(StackError):
    """Another `simmer up` runs in this home."""


class PortTakenError(StackError):
    """Another process listens on the port that was asked for."""


class StopRequestedError(StackError):
    """Ctrl-C or SIGTERM arrived while the stack was starting."""
