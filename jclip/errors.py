"""What ends a run: bad input, before anything is computed, or a stop midway."""


class InputError(ValueError):
    """Bad input from a person: a file, a line, a field or an option that cannot be used.

    The message is one line that names the culprit. Experiments print it and exit with status 2.

    Args:
        message: of that line.
        argument: what settles it, if an argument does; a command line calls it by its option.
    """

    def __init__(self, message: str, argument: str | None = None):
        super().__init__(message if argument is None else f"{message} (see {argument})")
        self.message, self.argument = message, argument


class RunStopped(Exception):
    """A run could not go on; what it had computed is kept. The message says where and why."""
