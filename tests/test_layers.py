"""The house: imports run downwards only, files stay short, a name is explained where it is."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "jclip"
# From the top down; a layer may import those below it. Beside each other, none imports another.
LAYERS = (
    ("experiments", "benchmarks"),
    ("__main__",),
    ("runs",),
    ("report",),
    ("training",),
    ("face",),
    ("probes",),
    ("heads",),
    ("data",),
    ("demo",),
    ("checkpoints",),
    ("adapters", "images", "text", "statistics"),
    ("models",),
    ("files", "distributed"),
    ("errors",),
)
HEIGHT = {room: -level for level, rooms in enumerate(LAYERS) for room in rooms}
FACE = ("__init__", "exported_views", "loading", "model", "scoring")


def sources():
    folders = (PACKAGE, ROOT / "experiments", ROOT / "benchmarks")
    return sorted(path for folder in folders for path in folder.rglob("*.py"))


def room_of(module: str) -> str:
    """The folder below the package, or the file's name where there is none."""
    parts = module.split(".")
    if parts[0] != "jclip":
        return parts[0]
    room = parts[1] if len(parts) > 1 else "__init__"
    return "face" if room in FACE else room


def imports(path: Path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_downwards(path):
    module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    room = room_of(module)
    for name in imports(path):
        if name.split(".")[0] not in ("jclip", "experiments", "benchmarks"):
            continue
        other = room_of(name)
        assert room == other or HEIGHT[room] > HEIGHT[other], f"{module} imports {name}"


def test_files_are_short():
    long = {str(p.relative_to(ROOT)): n for p in sources() if (n := lines(p)) > 300}
    assert not long
    stories = (ROOT / "experiments").glob("*.py")
    long = {p.name: n for p in stories if (n := lines(p)) >= 200 and p.name != "lora_finetune.py"}
    assert not long
    assert lines(ROOT / "experiments" / "lora_finetune.py") < 230


def lines(path: Path) -> int:
    return len(path.read_text().splitlines())


def test_errors_of_the_library_name_no_flags():
    """A notebook user never typed one; the command line adds them."""
    flags = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0] not in ("runs", "__main__.py")
        for raised in ast.walk(ast.parse(path.read_text()))
        if isinstance(raised, ast.Raise)
        for node in ast.walk(raised)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if flags.search(node.value)
    ]
    assert not found


def test_only_faces_of_packages_say_what_they_export():
    stray = [
        str(path.relative_to(ROOT))
        for path in sources()
        if path.name != "__init__.py" and re.search(r"^__all__", path.read_text(), re.MULTILINE)
    ]
    assert not stray
