"""The examples of the documents run as they stand there."""

import re
from pathlib import Path

import pytest
from documents import write_documents_files

ROOT = Path(__file__).parents[2]


def blocks(name):
    """The Python of a document, block by block."""
    return re.findall(r"^```python\n(.*?)^```", (ROOT / name).read_text(), re.S | re.M)


CODE = [(name, code) for name in ("README.md", "docs/guide.md") for code in blocks(name)]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    write_documents_files(folder)
    return folder


@pytest.mark.parametrize(("name", "code"), CODE, ids=[f"{n}-{i}" for i, (n, _) in enumerate(CODE)])
def test_examples_run(files, monkeypatch, name, code):
    monkeypatch.chdir(files)
    exec(code, {})


def test_a_notebook_takes_five_lines():
    notebooks = blocks("docs/guide.md")
    assert len(notebooks) == 4
    for code in notebooks:
        first, *rest = [line for line in code.splitlines() if line.strip()]
        assert first == "import jclip"
        assert len(rest) <= 5 and "import" not in "".join(rest)
