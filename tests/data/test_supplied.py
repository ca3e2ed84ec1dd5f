"""Every fault that a folder of supplied embeddings may have: one line that names file and row."""

import csv
import json

import ml_dtypes
import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from jclip.data.supplied import read_supplied
from jclip.data.supplied_rows import match
from jclip.data.view_plan import View, make_plan, view_file
from jclip.errors import InputError

IMAGES, SHIFTS = ("hall.png", "sub/lake.png"), ("0", "1", "mirrored")
VIEWS = [
    View(view_file(3 * row + k, image, label), "mine", image, label, (0, 32, None)[k])
    for row, image in enumerate(IMAGES)
    for k, label in enumerate(SHIFTS)
]
TEXTS = ["a hall", "a lake", "a lake, “calm”"]
PLAN = make_plan(VIEWS, TEXTS, ["digest"])
RNG = np.random.default_rng(0)
EMBEDDINGS = {
    "image_embeds": RNG.normal(size=(6, 4)).astype(np.float32),
    "text_embeds": RNG.normal(size=(3, 4)).astype(np.float32),
}


def table(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, dict.fromkeys(name for row in rows for name in row))
        writer.writeheader()
        writer.writerows(rows)


def image_rows():
    return [{"file": view.file} for view in VIEWS]


def text_rows():
    return [{"text": text} for text in TEXTS]


def write(folder, embeddings=EMBEDDINGS, images=None, texts=None, metadata=None):
    folder.mkdir(exist_ok=True)
    save_file(embeddings, folder / "embeddings.safetensors", metadata or {"model": "small"})
    table(folder / "images.csv", image_rows() if images is None else images)
    table(folder / "texts.csv", text_rows() if texts is None else texts)
    return folder


def matched(folder):
    return match(read_supplied(folder), PLAN)


def unit(values):
    values = np.asarray(values, np.float64)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def check(found, order=slice(None), said=slice(None)):
    np.testing.assert_array_equal(found.views, EMBEDDINGS["image_embeds"][order])
    np.testing.assert_array_equal(found.texts, EMBEDDINGS["text_embeds"][said])


def test_rows_are_arranged_as_the_plan_has_them(tmp_path):
    check(matched(write(tmp_path / "a")))
    order = [4, 1, 5, 0, 3, 2]
    images = [image_rows()[row] for row in order]
    folder = write(tmp_path / "b", images=images, texts=text_rows()[::-1])
    check(matched(folder), np.argsort(order), slice(None, None, -1))


def test_scores_are_cosines_views_first(tmp_path):
    found = matched(write(tmp_path / "a"))
    views, texts = np.arange(6).reshape(2, 3), np.array([[0, 2], [1, 1]])
    a, b = unit(EMBEDDINGS["image_embeds"]), unit(EMBEDDINGS["text_embeds"])
    expected = 100 * np.einsum("nve,nke->nvk", a[views], b[texts]).reshape(2, 6)
    np.testing.assert_allclose(found.scores(views, texts), expected, atol=1e-4)


def test_images_may_be_named_by_themselves(tmp_path):
    """Paths of other systems, with the number of the shift; its pixels may stand beside it."""
    rows = [
        {"file": f"C:\\old\\{view.image}", "shift_index": view.shift_index, "shift": view.shift}
        for view in VIEWS
    ]
    check(matched(write(tmp_path / "a", images=rows)))


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_indices_of_other_formats(tmp_path, suffix):
    folder = write(tmp_path / "a")
    for stem, rows in (("images", image_rows()), ("texts", text_rows())):
        (folder / f"{stem}.csv").unlink()
        if suffix == "parquet":
            pyarrow.parquet.write_table(pa.Table.from_pylist(rows), folder / f"{stem}.parquet")
        else:
            lines = "".join(json.dumps(row) + "\n" for row in rows)
            (folder / f"{stem}.jsonl").write_text(lines)
    check(matched(folder))


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_dtypes(tmp_path, dtype):
    given = {name: values.astype(dtype) for name, values in EMBEDDINGS.items()}
    folder = write(tmp_path / "a", given)
    if dtype is np.float64:
        for name, values in given.items():
            np.save(folder / f"{name}.npy", values)
        (folder / "embeddings.safetensors").unlink()
    found, notices = matched(folder), read_supplied(folder).identity.notices
    np.testing.assert_array_equal(found.views, given["image_embeds"].astype(np.float32))
    assert found.views.dtype == np.float32
    assert any("16 bits tie more often" in notice for notice in notices) == (dtype != np.float64)


def test_ties_of_halves_are_counted(tmp_path):
    halves = {name: values.astype(np.float16) for name, values in EMBEDDINGS.items()}
    halves["image_embeds"][4] = halves["image_embeds"][1]
    notices = read_supplied(write(tmp_path / "a", halves)).identity.notices
    assert any("2 of 6 image embeddings (float16) and 0 of 3" in notice for notice in notices)


def test_a_constant_encoder_is_noticed(tmp_path):
    near = EMBEDDINGS["image_embeds"] * 1e-2 + 1
    folder = write(tmp_path / "a", {**EMBEDDINGS, "image_embeds": near})
    notices = read_supplied(folder).identity.notices
    assert any(n.startswith("Every two image embeddings have a cosine above 0.99") for n in notices)
    assert not any("Every two text" in n for n in notices)


def test_boxes_of_images(tmp_path):
    """Named by their image and their sides, as text or as a list."""
    sides = [(1.0, 2.5, 30.123456, 4.0), (1.0, 2.5, 31.0, 4.0)]
    plan = make_plan([View(f"{n}.png", "", "a.png", box=box) for n, box in enumerate(sides)],
                     TEXTS, [])  # fmt: skip
    embeddings = {**EMBEDDINGS, "image_embeds": EMBEDDINGS["image_embeds"][:2]}
    rows = [{"file": "a.png", "box": " ".join(f"{x:g}" for x in box)} for box in sides[::-1]]
    folder = write(tmp_path / "a", embeddings, images=rows)
    found = match(read_supplied(folder), plan)
    np.testing.assert_array_equal(found.views, embeddings["image_embeds"][::-1])
    (folder / "images.csv").unlink()
    lines = [json.dumps({"file": "x/a.png", "box": box}) for box in sides]
    (folder / "images.jsonl").write_text("\n".join(lines))
    found = match(read_supplied(folder), plan)
    np.testing.assert_array_equal(found.views, embeddings["image_embeds"])
    (folder / "images.jsonl").write_text("\n".join(lines).replace("31.0", "32.0"))
    with pytest.raises(InputError, match=r"row 1 \(from 0\): x/a.png has no view box"):
        match(read_supplied(folder), plan)


def test_clip_retrieval_is_read(tmp_path):
    """Parts in order of their numbers, float16, names and captions in the metadata."""
    folder = tmp_path / "a"
    for name in ("img_emb", "text_emb", "metadata"):
        (folder / name).mkdir(parents=True)
    # A caption for each image, as it has them: equal captions have equal embeddings.
    said = [0, 1, 2, 0, 1, 2]
    for number, own in enumerate((slice(0, 4), slice(4, 6))):
        part = f"{number:02d}"
        images = EMBEDDINGS["image_embeds"][own].astype(np.float16)
        texts = EMBEDDINGS["text_embeds"][said[own]].astype(np.float16)
        np.save(folder / "img_emb" / f"img_emb_{part}.npy", images)
        np.save(folder / "text_emb" / f"text_emb_{part}.npy", texts)
        metadata = {
            "image_path": [f"/data/export/{view.file}" for view in VIEWS[own]],
            "caption": [TEXTS[row] for row in said[own]],
        }
        path = folder / "metadata" / f"metadata_{part}.parquet"
        pyarrow.parquet.write_table(pa.table(metadata), path)
    found = matched(folder)
    halves = EMBEDDINGS["image_embeds"].astype(np.float16)
    np.testing.assert_array_equal(found.views, halves.astype(np.float32))
    assert read_supplied(folder).identity.name == "a"
    np.save(folder / "img_emb" / "img_emb_00.npy", EMBEDDINGS["image_embeds"][:3])
    with pytest.raises(InputError, match=r"img_emb_01.npy: float16 \(2, 4\), unlike img_emb_00"):
        read_supplied(folder)
    (folder / "img_emb" / "img_emb_00.npy").unlink()
    with pytest.raises(InputError, match=r"img_emb: no part img_emb_0.npy"):
        read_supplied(folder)


def test_an_index_may_lie_in_the_exported_folder(tmp_path):
    above = write(tmp_path / "export")
    (above / "plan.json").write_text(json.dumps({"digest": PLAN.digest}))
    (above / "mine").mkdir()
    (above / "embeddings.safetensors").rename(above / "mine" / "embeddings.safetensors")
    check(matched(above / "mine"))
    # Without a plan there it is nobody's index.
    (above / "plan.json").unlink()
    with pytest.raises(InputError, match=r"mine: no images.csv, which says what each row is of"):
        read_supplied(above / "mine")


def changed(name, row, value):
    values = {key: array.copy() for key, array in EMBEDDINGS.items()}
    values[name][row] = value
    return values


def with_row(rows, number, **columns):
    return [row | columns if at == number else row for at, row in enumerate(rows)]


WRONG = {
    "not finite": (
        {"embeddings": changed("image_embeds", 2, np.nan)},
        r"image_embeds, row 2 \(from 0; views/000002.*\): not finite",
    ),
    "infinite": (
        {"embeddings": changed("text_embeds", (1, 0), np.inf)},
        r"text_embeds, row 1 \(from 0; a lake\): not finite",
    ),
    "too short for a direction": (
        {"embeddings": changed("text_embeds", 0, 1e-30)},
        r"text_embeds, row 0 \(from 0; a hall\): of length zero",
    ),
    "zero": (
        {"embeddings": changed("text_embeds", 0, 0)},
        r"text_embeds, row 0 \(from 0; a hall\): of length zero",
    ),
    "an image short": (
        {"embeddings": {**EMBEDDINGS, "image_embeds": EMBEDDINGS["image_embeds"][:5]}},
        r"image_embeds: 5 rows, and .*images.csv has 6",
    ),
    "a text short": (
        {"texts": text_rows()[:2]},
        r"text_embeds: 3 rows, and .*texts.csv has 2",
    ),
    "widths": (
        {"embeddings": {**EMBEDDINGS, "text_embeds": EMBEDDINGS["text_embeds"][:, :3].copy()}},
        r"image_embeds: 4 numbers an image, and .*text_embeds: 3 a text",
    ),
    "integers": (
        {"embeddings": {**EMBEDDINGS, "text_embeds": np.ones((3, 4), np.int8)}},
        "int8 values; embeddings are floating-point",
    ),
    "one axis": (
        {"embeddings": {**EMBEDDINGS, "text_embeds": np.ones(3, np.float32)}},
        r"shape \(3,\); embeddings are \[N, D\]",
    ),
    "no text tensor": (
        {"embeddings": {"image_embeds": EMBEDDINGS["image_embeds"]}},
        "no tensor 'text_embeds'; there is image_embeds",
    ),
    "a view twice": (
        {"images": with_row(image_rows(), 4, file=VIEWS[1].file)},
        r"images.csv, row 4 \(from 0\): views/000001-.* is there twice, in row 1 too",
    ),
    "a view outside": (
        {"images": with_row(image_rows(), 3, file="other.png")},
        r"images.csv, row 3 \(from 0\): other.png is no view of the plan",
    ),
    "an empty name": (
        {"images": with_row(image_rows(), 3, file="")},
        r"images.csv, row 3 \(from 0\): file is no text",
    ),
    "a shift outside": (
        {"images": with_row(image_rows(), 3, file="hall.png", shift_index=7)},
        r"row 3 \(from 0\): hall.png has no view shift_index 7 in the plan",
    ),
    "another shift": (
        {"images": with_row(image_rows(), 1, shift=31)},
        r"row 1 \(from 0\): shift 31 where views/000001-.* is .*32",
    ),
    "which view": (
        {"images": with_row(image_rows(), 3, file="hall.png")},
        r"row 3 \(from 0\): hall.png may be .*; name the view's file, or give shift_index",
    ),
    "a text outside": (
        {"texts": with_row(text_rows(), 2, text="a sea")},
        r"texts.csv, row 2 \(from 0\): 'a sea' is no text of the plan",
    ),
    "a text twice": (
        {"texts": with_row(text_rows(), 2, text="a hall")},
        r"texts.csv, row 2 \(from 0\): 'a hall' is there twice, in row 0 with another embedding",
    ),
    "no column": (
        {"texts": [{"caption": text} for text in TEXTS]},
        r"texts.csv: no column 'text'; there are caption",
    ),
    "another plan": (
        {"metadata": {"model": "small", "plan": "0" * 64}},
        r"embeddings.safetensors, image_embeds: of another plan \(000000000000, and",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_faults_are_named(tmp_path, case):
    arguments, words = WRONG[case]
    folder = write(tmp_path / "a", **arguments)
    with pytest.raises(InputError, match=words) as error:
        matched(folder)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", ["view", "text"])
def test_what_is_missing_is_named(tmp_path, kind):
    if kind == "view":
        embeddings = {**EMBEDDINGS, "image_embeds": EMBEDDINGS["image_embeds"][2:]}
        folder = write(tmp_path / "a", embeddings, images=image_rows()[2:])
        words = r"images.csv: no row of views/000000-hall-0.png \(and 1 more\)"
    else:
        embeddings = {**EMBEDDINGS, "text_embeds": EMBEDDINGS["text_embeds"][:2]}
        folder = write(tmp_path / "a", embeddings, texts=text_rows()[:2])
        words = r"texts.csv: no row of 'a lake, “calm”'"
    with pytest.raises(InputError, match=words):
        matched(folder)


SCORES = [
    {"file": view.file, "text": text, "score": 10 * row + k}
    for row, view in enumerate(VIEWS)
    for k, text in enumerate(TEXTS)
]


def test_scores_are_taken_as_they_are(tmp_path):
    table(tmp_path / "scores.csv", SCORES)
    views, texts = np.arange(6).reshape(2, 3), np.array([[2, 0], [1, 1]])
    found = matched(tmp_path).scores(views, texts)
    assert found.tolist() == [[2, 0, 12, 10, 22, 20], [31, 31, 41, 41, 51, 51]]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (SCORES[1:], r"no score of views/000000-hall-0.png with 'a hall'"),
        ([*SCORES, SCORES[4]], r"row 18 \(from 0\): views/000001-.* with 'a lake' is there twice"),
        (with_row(SCORES, 5, score="high"), r"row 5 \(from 0\): score is no number"),
        (with_row(SCORES, 5, score="nan"), r"row 5 \(from 0\): score is not finite"),
        (with_row(SCORES, 5, text="a sea"), r"row 5 \(from 0\): 'a sea' is no text of the plan"),
        (with_row(SCORES, 5, file="x.png"), r"row 5 \(from 0\): x.png is no view of the plan"),
    ],
)
def test_faults_of_scores_are_named(tmp_path, rows, words):
    table(tmp_path / "scores.csv", rows)
    with pytest.raises(InputError, match=words):
        matched(tmp_path).scores(np.arange(6).reshape(2, 3), np.array([[0, 1, 2]] * 2))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("all.pt", "all.pt is a pickle of PyTorch: safetensors.torch.save_file"),
        ("all.pkl", "all.pkl is a pickle: numpy.save"),
        ("00000.tar", "00000.tar is a tar of webdataset: stack its .npy"),
        ("vectors.npy", "vectors.npy is mteb's cache"),
        ("readme.txt", "no embeddings.safetensors, image_embeds.npy or img_emb/ of clip-retrieval"),
    ],
)
def test_how_to_convert_what_is_not_read(tmp_path, name, words):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(InputError, match=words):
        read_supplied(tmp_path)


def test_pickled_arrays_are_not_read(tmp_path):
    folder = write(tmp_path / "a")
    (folder / "embeddings.safetensors").unlink()
    np.save(folder / "image_embeds.npy", np.array([{"a": 1}] * 6, object), allow_pickle=True)
    with pytest.raises(InputError, match="holds Python objects, which are not read"):
        read_supplied(folder)


def test_two_of_a_kind_are_refused(tmp_path):
    folder = write(tmp_path / "a")
    np.save(folder / "image_embeds.npy", EMBEDDINGS["image_embeds"])
    with pytest.raises(InputError, match="one of them is meant; remove the other"):
        read_supplied(folder)
    (folder / "image_embeds.npy").unlink()
    (folder / "images.jsonl").write_text("")
    with pytest.raises(InputError, match=r"images.csv and images.jsonl: one index is meant"):
        read_supplied(folder)


BYTES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [b"file\n", b"text\na\n", b'{"file": 3}\n', b"[]", b'file,text\n"a', b"\xff\xfe"]
    ),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(
        [
            "images.csv",
            "texts.csv",
            "images.jsonl",
            "images.parquet",
            "scores.csv",
            "plan.json",
            "embeddings.safetensors",
            "image_embeds.npy",
        ]
    ),
    content=BYTES,
    cut=st.integers(0, 200),
    keep=st.booleans(),
)
def test_whatever_lies_there_is_read_or_refused(tmp_path, name, content, cut, keep):
    """Another file in the place of a good one, or half of the good one with something behind it."""
    for path in (tmp_path / "a").glob("*"):
        path.unlink()
    folder = write(tmp_path / "a")
    whole = (folder / name).read_bytes() if keep and (folder / name).exists() else b""
    (folder / name).write_bytes(whole[:cut] + content)
    try:
        found = matched(folder)
    except InputError as error:
        assert "\n" not in str(error) or "\n" in content.decode("utf-8", "replace")
    else:
        check(found)
