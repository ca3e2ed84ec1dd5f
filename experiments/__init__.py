"""One runnable file per question: `python -m experiments.NAME --help`."""

import sys


def _say(kind: type[BaseException], error: BaseException, _) -> None:
    """What fails before a command line is read, such as an import, is one line too."""
    if issubclass(kind, KeyboardInterrupt):
        print("stopped: interrupted", file=sys.stderr)
        sys.exit(1)
    said = " ".join(f"{kind.__name__}: {error}".split())
    hint = "; `pip install .` installs what is missing" * issubclass(kind, ImportError)
    print(f"error: {said}{hint}", file=sys.stderr)
    sys.exit(2)


# So it is called while Python looks for the module that `python -m` names.
if sys.argv[0] == "-m":
    sys.excepthook = _say
