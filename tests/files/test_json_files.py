"""JSON as editors save it, and what is none."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jclip.errors import InputError
from jclip.files.json_fields import Fields
from jclip.files.json_files import read_json, write_json

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


@pytest.mark.parametrize("text", ["é", "caf\udce9", "\\\udce9", "\ud83d", "\\ud83d", "\U0001f600"])
def test_every_text_comes_back(tmp_path, text):
    write_json(tmp_path / "a.json", {text: [text]})
    assert read_json(tmp_path / "a.json") == {text: [text]}
    (tmp_path / "a.json").read_text(encoding="utf-8")


def test_the_mark_of_an_editor_is_not_part_of_the_file(tmp_path):
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(tmp_path / "a.json") == {"a": 1}


@given(st.binary(max_size=40))
def test_any_bytes_are_an_object_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("json") / "a.json"
    path.write_bytes(content)
    try:
        assert isinstance(read_json(path), dict)
    except InputError as error:
        assert str(path) in str(error)
