"""Captions belong to the image they name, and every fault is named with its line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jclip.data.captions import find_captions, read_captions
from jclip.errors import InputError

NAMES = ["1.jpg", "2.jpg", "10.jpg"]


def write(tmp_path, name, text):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_csv_by_name_in_any_order(tmp_path):
    rows = '\ufefffile,caption\n10.jpg,ten\n1.jpg,"one, or so"\n2.jpg,two\n'
    path = write(tmp_path, "c.csv", rows)
    assert read_captions(path, NAMES) == (("one, or so", "two", "ten"), (3, 4, 2))


def test_jsonl_by_name(tmp_path):
    lines = [f'{{"file": "{n}", "caption": "c {n}"}}' for n in reversed(NAMES)]
    assert read_captions(write(tmp_path, "c.jsonl", "\n".join(lines)), NAMES).texts[2] == "c 10.jpg"


def test_prompts_follow_natural_order_whatever_order_is_asked_for(tmp_path):
    path = write(tmp_path, "prompts.txt", "one\r\ntwo\r\nten\r\n")
    assert read_captions(path, ["10.jpg", "1.jpg", "2.jpg"]) == (("ten", "one", "two"), (3, 1, 2))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.csv", "file,caption\n1.jpg,a\n1.jpg,b\n", "line 3: second caption for '1.jpg'"),
        ("c.csv", "file,caption\n1.jpg,a\n2.jpg,\n", "line 3: empty caption"),
        ("c.csv", "file,caption\n9.jpg,a\n", "line 2: caption for '9.jpg', which is not"),
        ("c.csv", "file,caption\n1.jpg,a\n", "no caption for '2.jpg' .2 images without"),
        ("c.csv", "name,caption\n1.jpg,a\n", "line 1: no column 'file'"),
        ("c.csv", "file,caption\n1.jpg,a,b\n", "line 2: more fields than columns"),
        ("c.csv", b"file,caption\n1.jpg,\xff\n", "UTF-8"),
        ("c.jsonl", '{"file": "1.jpg", "caption": "a"}\n{', "line 2: not JSON"),
        ("c.jsonl", '{"file": "1.jpg"}', "line 1: field 'caption'"),
        ("c.jsonl", "[1]", "line 1: not an object"),
        ("c.txt", "a\nb\n", "2 lines for 3 images"),
        ("c.txt", "a\n\nc\n", "line 2: empty caption"),
        ("c.xml", "", "captions are .csv, .jsonl or .txt"),
    ],
)
def test_faults_are_named(tmp_path, name, text, message):
    with pytest.raises(InputError, match=message):
        read_captions(write(tmp_path, name, text), NAMES)


@given(content=st.binary(max_size=200), suffix=st.sampled_from([".csv", ".jsonl", ".txt"]))
def test_any_bytes_are_read_or_refused(tmp_path_factory, content, suffix):
    path = write(tmp_path_factory.mktemp("any"), "c" + suffix, content)
    try:
        captions = read_captions(path, NAMES)
    except InputError as error:
        assert str(path) in str(error)
    else:
        assert len(captions) == 3 and all(captions)


def test_captions_by_name_are_preferred(tmp_path):
    write(tmp_path, "prompts.txt", "a")
    assert find_captions(tmp_path).name == "prompts.txt"
    write(tmp_path, "captions.csv", "file,caption\n")
    assert find_captions(tmp_path).name == "captions.csv"
    with pytest.raises(InputError, match="no captions beside"):
        find_captions(tmp_path / "..")
