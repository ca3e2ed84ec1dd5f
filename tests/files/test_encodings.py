"""No text is read or written in the encoding of the locale."""

import ast
from pathlib import Path

import pytest

from jclip.errors import InputError
from jclip.files.local import require_local

ROOT = Path(__file__).parents[2]
SOURCES = [p for top in ("jclip", "experiments", "benchmarks") for p in (ROOT / top).rglob("*.py")]


def without_encoding(call):
    """Whether it reads or writes text and does not say in which encoding."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    words = [a.value for a in call.args if isinstance(a, ast.Constant)]
    if "encoding" in {keyword.arg for keyword in call.keywords} or "utf-8" in words:
        return False
    if name in ("read_text", "write_text"):
        return isinstance(call.func, ast.Attribute)
    modes = [word for word in words if isinstance(word, str) and set(word) <= set("rwaxb+t")]
    builtin = isinstance(call.func, ast.Name) and name == "open"
    return (builtin or (name == "open" and bool(modes))) and "b" not in "".join(modes)


def test_every_text_file_has_its_encoding():
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and without_encoding(node)
    ]
    assert len(SOURCES) > 100 and not found


@pytest.mark.parametrize("path", ["gs://b/c", "gs:/b", "file:///x", "s3+http://b"])
def test_addresses_are_no_paths(path):
    for given in (path, Path(path)):
        with pytest.raises(InputError, match="is the address of another place; only local"):
            require_local(given)


@pytest.mark.parametrize("path", ["", "a", "/gs://b", "C:/x", "C:\\x", "mine=gs", "tfds:a/b:test"])
def test_paths_are_local(path):
    require_local(path)
