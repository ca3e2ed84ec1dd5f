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


@given(
    content=st.binary(max_size=200),
    suffix=st.sampled_from([".csv", ".tsv", ".jsonl", ".json", ".txt"]),
)
def test_any_bytes_are_read_or_refused(tmp_path_factory, content, suffix):
    path = write(tmp_path_factory.mktemp("any"), "c" + suffix, content)
    try:
        captions = read_captions(path, NAMES)
    except InputError as error:
        assert str(path) in str(error)
    else:
        assert len(captions) == 3 and all(captions)


@pytest.mark.parametrize(
    "text",
    [
        "file,caption\r\n10.jpg,ten\r\n1.jpg,one\r\n2.jpg,two\r\n,\r\n,,\r\n;\r\n",
        "file;caption\n10.jpg;ten\n1.jpg;one\n2.jpg;two\n",
        "sep=;\nfile;caption\n10.jpg;ten\n1.jpg;one\n2.jpg;two\n",
        '"sep=\t"\nFile\tCaption\n10.jpg\tten\n1.jpg\tone\n2.jpg\ttwo\n',
        ",,\n\nfile,caption,\n10.jpg,ten,\n1.jpg,one,\n2.jpg,two,,,\n",
        "\ufeffFilename , Prompt\n10.jpg,ten\n1.jpg,one\n2.jpg,two",
        ",image_path,text\n0,10.jpg,ten\n1,1.jpg,one\n2,2.jpg,two",
        "file,caption\r10.jpg,ten\r1.jpg,one\r2.jpg,two\r",
        "file,caption\nimages\\10.jpg,ten\nimages\\1.jpg,one\nimages\\2.jpg,two\n",
        "file,caption\nC:\\x\\10.jpg,ten\n/home/x/1.jpg,one\n./2.JPG,two\n",
        "file,caption\n10.jpg,ten\n1.jpg,one\n2.jpg,two\n".encode("utf-16"),
    ],
)
def test_spreadsheets_and_other_tools_write_tables(tmp_path, text):
    path = write(tmp_path, "c.CSV", text)
    assert read_captions(path, NAMES).texts == ("one", "two", "ten")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.jsonl", '\ufeff{"file_name": "1.jpg", "text": "one"}\n'),
        ("c.json", '\ufeff[{"image": "1.jpg", "prompt": "one"}]'),
        ("c.json", '{"1.jpg": "one"}'),
        ("c.tsv", "filepath\ttitle\n1.jpg\tone\n"),
    ],
)
def test_tables_of_other_kinds(tmp_path, name, text):
    assert read_captions(write(tmp_path, name, text), ["1.jpg"]).texts == ("one",)


def test_names_may_differ_in_unicode_form_and_capitals(tmp_path):
    path = write(tmp_path, "c.csv", "file,caption\ncaf\u00e9.png,a cafe\nB.PNG,a road\n")
    assert read_captions(path, ["cafe\u0301.png", "b.png"]).texts == ("a cafe", "a road")
    both = ["cafe\u0301.png", "caf\u00e9.png"]
    path = write(tmp_path, "c.csv", f"file,caption\n{both[0]},one\n{both[1]},two\n")
    assert read_captions(path, both).texts == ("one", "two")
    path = write(tmp_path, "c.csv", "file,caption\nCAFE\u0301.png,one\n")
    with pytest.raises(InputError, match=r"line 2: caption for .*, which may be .* or "):
        read_captions(path, both)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.csv", "name,caption\n1.jpg,a\n", "no column 'file'; there are 'name', 'caption'"),
        ("c.csv", "file,word\n1.jpg,a\n", "line 1: no column 'caption'; there are 'file', 'word'"),
        ("c.csv", "file,prompt,text\n1.jpg,a,b\n", "line 1: prompt or text. Call the one .* cap"),
        ("c.csv", "", "line 1: no column 'file'; there are none"),
        ("c.csv", "sep=;\nfile;caption\n1.jpg;\n", "line 3: empty caption"),
        ("c.csv", "file,caption\n1.jpg,&nbsp;\n", "line 2: empty caption"),
        (
            "c.csv",
            b"file,caption\n1.jpg,a\n2.jpg,caf\xe9\n",
            "line 3: cannot .* UTF-8 .*0xe9.*1252",
        ),
        ("c.csv", "file,caption".encode("utf-16-le"), "no column 'file'"),
        ("c.txt", b"\xff\xfea\0b", "begins as UTF-16 text and is none"),
        (
            "c.jsonl",
            r'{"file": "1.jpg", "caption": "a dog \ud83d"}',
            "line 1: half a surrogate pair",
        ),
        ("c.jsonl", r'{"file": "\ud83d.jpg", "caption": "a"}', "line 1: half a surrogate pair"),
        ("c.jsonl", '{"file": "1.jpg", "caption": ["a"]}', "line 1: field 'caption' is not a text"),
        ("c.jsonl", '{"file": "1.jpg"}', "line 1: field 'caption' is missing; there are 'file'"),
        ("c.json", "3", "neither a list of objects nor an object"),
        ("c.json", '{"1.jpg": 3}', "the caption is a int, not a text"),
        ("c.json", '[{"file": "1.jpg", "caption": "a"}, 3]', "entry 2: not an object"),
        ("c.json", '{"images": [{"sentences": []}]}', "Karpathy's layout.* captions by file"),
        ("c.json", '{"annotations": [{"image_id": 1, "caption": "a"}]}', "COCO's own captions"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, name, text, message):
    with pytest.raises(InputError, match=message) as error:
        read_captions(write(tmp_path, name, text), NAMES)
    assert str(tmp_path) in str(error.value)


def test_caption_files_are_found_whatever_their_capitals(tmp_path):
    write(tmp_path, "Captions.CSV", "")
    write(tmp_path, "metadata.jsonl", "")
    assert find_captions(tmp_path).name == "Captions.CSV"
    write(tmp_path, "captions.csv", "")
    assert find_captions(tmp_path).name == "captions.csv"


def test_captions_by_name_are_preferred(tmp_path):
    write(tmp_path, "prompts.txt", "a")
    assert find_captions(tmp_path).name == "prompts.txt"
    write(tmp_path, "captions.csv", "file,caption\n")
    assert find_captions(tmp_path).name == "captions.csv"
    with pytest.raises(InputError, match="no captions beside"):
        find_captions(tmp_path / "..")
