"""The command `jclip`: `jclip shift_sweep ...` runs an experiment, `jclip --help` lists them all.

From a checkout `python -m experiments.shift_sweep ...` is the same.
"""

import ast
import importlib
import sys
from pathlib import Path
from typing import NoReturn

from jclip.runs.command import BAD_INPUT, DONE, run_command

_HERE = Path(__file__).parent
# A wheel holds the experiments inside the package; in a checkout they stand beside it.
_INSTALLED = (_HERE / "experiments").is_dir()
_FOLDER = _HERE / "experiments" if _INSTALLED else _HERE.parent / "experiments"


def commands() -> dict[str, str]:
    """Every experiment's name and question: the first line of its docstring; none is imported."""
    files = sorted(_FOLDER.glob("[!_]*.py"))
    texts = {file.stem: ast.get_docstring(ast.parse(file.read_text("utf-8"))) for file in files}
    return {name: (text or "").partition("\n")[0] for name, text in texts.items()}


def main() -> NoReturn:
    """Run the experiment that the command line names, and exit with its status."""
    name, *rest = sys.argv[1:] or ["--help"]
    known = commands()
    if name in ("-h", "--help"):
        print("usage: jclip COMMAND [OPTIONS]; jclip COMMAND --help lists the options\n")
        width = max(map(len, known))
        print("\n".join(f"{command:{width}}  {question}" for command, question in known.items()))
        sys.exit(DONE)
    if name not in known:
        print(f"error: {name}: no such command; jclip --help lists them", file=sys.stderr)
        sys.exit(BAD_INPUT)
    package = "jclip.experiments" if _INSTALLED else "experiments"
    experiment = importlib.import_module(f"{package}.{name}")
    sys.argv = [f"jclip {name}", *rest]
    description = (experiment.__doc__ or "").replace("python -m experiments.", "jclip ")
    run_command(experiment.Options, experiment.main, description)


if __name__ == "__main__":
    main()
