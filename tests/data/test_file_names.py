"""Which names mean the same file, in which order they come, and how they are shown."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jclip.data.file_names import (
    FilesBelow,
    KnownFiles,
    is_hidden,
    natural_order,
    require_unicode,
    shown,
)
from jclip.errors import InputError


def test_numbers_count_and_no_two_names_tie():
    names = ["10.png", "2.png", "1.png", "01.png", "b.png", "a10.png", "a9.png"]
    ordered = ["01.png", "1.png", "2.png", "10.png", "a9.png", "a10.png", "b.png"]
    assert sorted(names, key=natural_order) == ordered
    # Whatever the form in which a file system keeps it.
    for form in ("\u00e9.png", "e\u0301.png"):
        assert sorted([form, "z.png", "f.png"], key=natural_order) == ["f.png", "z.png", form]
    assert natural_order("\u00b2.png") and natural_order("9" * 5000 + ".png")


@given(st.lists(st.text(max_size=9), unique=True))
def test_any_names_have_one_order(names):
    assert sorted(names, key=natural_order) == sorted(names[::-1], key=natural_order)
    known = KnownFiles([name + "a.png" for name in names], [""] * len(names))
    for row, name in enumerate(names):
        assert known.find(name + "a.png") == [row]
        known.find(name)


def test_other_paths_of_a_file_are_found():
    known = KnownFiles(["a.png", "sub/b.png", "b.png"], ["/data/x"] * 3)
    for name in ("./a.png", "a.png", "x/a.png", "/data/x/a.png", "X\\A.PNG", "E:\\old\\a.png"):
        assert known.find(name) == [0], name
    assert known.find("sub\\b.png") == known.find("x/sub/b.png") == [1]
    assert known.find("b.png") == [2]
    assert known.find("B.png") == [1, 2]
    for name in ("", ".", "/", "c.png", "a.png/c"):
        assert known.find(name) == [], name


def test_files_of_other_systems_are_there(tmp_path):
    (tmp_path / "val").mkdir()
    for name in ("a.png", "Cafe\u0301.PNG", "B.png", "b.png"):
        (tmp_path / "val" / name).write_text("")
    assert FilesBelow(tmp_path).find("val\\a.png") == tmp_path / "val" / "a.png"
    assert FilesBelow(tmp_path).find("VAL/caf\u00e9.png") == tmp_path / "val" / "Cafe\u0301.PNG"
    assert FilesBelow(tmp_path).find("val/b.png") == tmp_path / "val" / "b.png"
    for name in ("val/c.png", "other/a.png", "val/a.png/x", "a\0.png", "x" * 3000, ""):
        assert FilesBelow(tmp_path).find(name) == tmp_path / name


def test_hidden_and_unreadable_names():
    for name in (".DS_Store", "._0.jpg", "Thumbs.db", "__MACOSX"):
        assert is_hidden(name)
    assert not is_hidden("a.jpg")
    assert shown(Path(os.fsdecode(b"caf\xe9"))) == r"caf\xe9"
    require_unicode("caf\u00e9")
    with pytest.raises(InputError, match="not UTF-8"):
        require_unicode(Path(os.fsdecode(b"caf\xe9")))
