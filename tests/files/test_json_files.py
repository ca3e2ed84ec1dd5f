"""JSON as editors save it, and what is none."""

import json

import pytest

from jclip.errors import InputError
from jclip.files.json_fields import Fields
from jclip.files.json_files import read_json

VALUES = {"name": "caf\u00e9", "size": 3}


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "utf-32-be"]
)
def test_every_encoding_of_json_is_read(tmp_path, encoding):
    (tmp_path / "a.json").write_bytes(json.dumps(VALUES, ensure_ascii=False).encode(encoding))
    assert read_json(tmp_path / "a.json") == VALUES


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\xfd", b'{"a": \x00}', b"[" * 100_000])
def test_what_is_no_json_is_refused_by_file(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.json is not JSON"):
        read_json(tmp_path / "a.json")


def test_what_cannot_be_read_is_refused_by_file(tmp_path):
    (tmp_path / "a.json").mkdir()
    with pytest.raises(InputError, match=r"a\.json cannot be read: Is a directory"):
        read_json(tmp_path / "a.json")
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "b.json")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0, -1, 1e300, "1", [1, 2], True])
def test_numbers_that_cannot_work_are_problems(value):
    for default in (1, 1.0):
        fields = Fields({"width": value})
        assert fields.take_positive("width", default) == default
        assert len(fields.problems) == 1
        assert "width = " in fields.problems[0]


def test_long_values_and_many_problems_are_cut_short():
    fields = Fields({f"field{n}": "x" * 1000 for n in range(50)} | {"long": list(range(1000))})
    fields.finish()
    with pytest.raises(InputError, match="and 45 more") as caught:
        fields.raise_problems("file")
    assert len(str(caught.value)) < 800
