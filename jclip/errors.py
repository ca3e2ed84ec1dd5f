"""The one exception that means: the input is wrong, and here is what to change."""

__all__ = ["InputError"]


class InputError(ValueError):
    """Bad input from a person: a file, a line, a field or an option that cannot be used.

    The message is one line that names the culprit. Experiments print it and exit with status 2.
    """
