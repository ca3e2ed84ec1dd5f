"""Whatever stands in a text file, its reader returns or says in an `InputError` what is wrong."""

import copy
import io
import json
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from jclip.data.captions import read_captions
from jclip.data.coco_captions import read_coco_captions
from jclip.data.fg_ovd import read_fg_ovd
from jclip.data.foil_files import (
    read_aro,
    read_aro_order,
    read_half_truths,
    read_sugar_crepe,
    read_sugar_crepe_pp,
)
from jclip.data.image_sets import open_image_set
from jclip.data.paired_files import read_colorswap, read_winoground
from jclip.errors import InputError
from jclip.files.json_files import read_json
from jclip.runs.record import open_record

FG_OVD = {
    "images": [{"id": 1, "file_name": "a.png", "width": 9, "height": 9}],
    "categories": [{"id": 0, "name": "a cup"}, {"id": 1, "name": "a cat"}],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 0, "neg_category_ids": [1], "bbox": [0, 0, 3, 3]}
    ],
}
COCO = {
    "images": [
        {
            "imgid": 1,
            "filename": "a.png",
            "split": "test",
            "sentids": [1],
            "sentences": [{"sentid": 1, "imgid": 1, "raw": "a cup"}],
        }
    ]
}
CREPE = {"filename": "a.png", "caption": "a cup", "negative_caption": "a cat"}
RELATION = {
    "image_path": "a.png",
    **{f"bbox_{side}": 3 for side in "xywh"},
    "true_caption": "a cup on a cat",
    "false_caption": "a cat on a cup",
    "relation_name": "on",
}
PAIR = {
    "id": 1,
    **{f"image_{k}": f"{k}.png" for k in range(3)},
    **{f"caption_{k}": f"a cup {k}" for k in range(3)},
}
HALF_TRUTH = {
    "sample_id": "0_0",
    "image_path": "a.png",
    "original_caption": "a cup on a cat",
    "entities": ["cup"],
    "negative_entities": {"cup": [{"negative": "cat"}]},
    "relations": [
        {
            "subject": "cup",
            "relation_type": "on",
            "object": "cat",
            "negatives": [{"subject": "cat", "relation_type": "on", "object": "cup"}],
        }
    ],
}
RECORD = {"identity": {"experiment": "x", "a": 1}, "status": "running", "confirmed": {}}
READERS = {
    "fg_ovd.json": (FG_OVD, read_fg_ovd),
    "coco.json": (COCO, read_coco_captions),
    "captions.jsonl": (
        {"file": "a.png", "caption": "a cup"},
        lambda path: read_captions(path, ["a.png"]),
    ),
    "crepe.json": ({"1": CREPE}, read_sugar_crepe),
    "crepe_pp.json": ([{"id": 1, "caption2": "the cup", **CREPE}], read_sugar_crepe_pp),
    "aro.json": ([RELATION], read_aro),
    "order.jsonl": ({"image": "a.png", "caption_options": ["a b", "b a"]}, read_aro_order),
    "winoground.jsonl": (PAIR, read_winoground),
    "colorswap.json": ([PAIR], read_colorswap),
    "units.json": ([HALF_TRUTH], lambda path: read_half_truths(path, " and ")),
    "run.json": (RECORD, lambda path: open_record(path.parent, "x", {"a": 1})),
}
LINES = (
    "file,caption",
    "file;caption",
    "sep=;",
    ",",
    "[",
    r'{"a.png": "a cup \ud83d"}',
    r"images\a.png,a cup",
    "a.png,a cup",
    "b.png,a cat",
    'b.png,"a cat',
    '{"file": "a.png", "caption": "a cup"}',
    '{"file": "b.png", "caption": "a cat"}',
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def places(value):
    """The path of every value inside a JSON value, itself included."""
    if not isinstance(value, dict | list):
        return [()]
    children = value.items() if isinstance(value, dict) else enumerate(value)
    return [(), *((key, *rest) for key, child in children for rest in places(child))]


def replaced(value, path, new):
    if not path:
        return new
    value = copy.copy(value)
    value[path[0]] = replaced(value[path[0]], path[1:], new)
    return value


def read(folder, name, content):
    (folder / name).write_bytes(content)
    try:
        READERS[name][1](folder / name)
    except InputError as error:
        assert name in str(error) or str(folder) in str(error)


@pytest.mark.parametrize("name", READERS)
@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_value_at_any_place(name, tmp_path, data):
    whole = READERS[name][0]
    path = data.draw(st.sampled_from(places(whole)))
    read(tmp_path, name, json.dumps(replaced(whole, path, data.draw(JSON))).encode())


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("content", [b"\xff\xfe", b"[" * 100_000, b"1" * 5000, b"", b"[]", b"3"])
def test_what_cannot_be_parsed_is_refused(name, content, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError):
        READERS[name][1](tmp_path / name)
    if name == "fg_ovd.json":
        with pytest.raises(InputError):
            read_json(tmp_path / name)


@pytest.mark.parametrize("name", ["captions.csv", "captions.jsonl", "captions.json", "prompts.txt"])
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    lines=st.lists(st.sampled_from(LINES) | st.text(max_size=20) | st.binary(max_size=20)),
    ending=st.sampled_from([b"\n", b"\r\n", b"\r", b"\0"]),
)
def test_any_lines_in_a_caption_file(name, lines, ending, tmp_path):
    encoded = [
        line if isinstance(line, bytes) else line.encode(errors="surrogatepass") for line in lines
    ]
    path = tmp_path / name
    path.write_bytes(ending.join(encoded))
    try:
        captions = read_captions(path, ["a.png", "b.png"])
    except InputError as error:
        assert str(path) in str(error)
    else:
        assert len(captions.texts) == 2 and all(text.strip() for text in captions.texts)


PICTURE = io.BytesIO()
Image.new("RGB", (4, 2)).save(PICTURE, "png")
NAMES = st.binary(min_size=1, max_size=9).map(lambda name: name.replace(b"/", b"\\").strip(b"\0."))


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    names=st.lists(NAMES.filter(lambda name: b"\0" not in name), min_size=1, max_size=4),
    suffix=st.sampled_from([b".png", b".PNG", b".jfif", b".txt", b""]),
    captions=st.lists(st.text(max_size=9), max_size=3),
)
def test_any_names_in_a_folder(names, suffix, captions, tmp_path):
    with tempfile.TemporaryDirectory(dir=tmp_path) as folder:
        for name in names:
            with open(os.path.join(os.fsencode(folder), b"x" + name + suffix), "wb") as file:
                file.write(PICTURE.getvalue())
        lines = "\n".join(captions).encode(errors="surrogatepass")
        Path(folder, "prompts.txt").write_bytes(lines)
        try:
            opened = open_image_set(folder)
        except InputError as error:
            assert folder in str(error)
        else:
            assert len(opened.images) == len(opened.captions) > 0
            assert len(opened.digest) == 64
