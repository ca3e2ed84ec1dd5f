"""What a reader has to know of two generators before they are compared."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from jclip.data.image_sets import ImageSet
from jclip.data.images import ImageFile
from jclip.probes.panorama_distances import distance_rows
from jclip.probes.panorama_pairs import (
    comparable_rows,
    like_reference,
    lone_notices,
    unpaired_rows,
)
from jclip.probes.panorama_scores import PanoramaScores


def made(name, sizes):
    images = tuple(
        ImageFile(file, lambda: np.zeros((1, 2, 3), np.uint8), height, 2 * height, file)
        for file, height in sizes.items()
    )
    return ImageSet(name, images, ("a hall",) * len(images), tuple(range(len(images))), "c.csv")


def result(name, count, width=3, stacked=False):
    fits = () if stacked else ("squash",)
    rows = 8 if stacked else 1
    generator = np.random.default_rng(len(name))
    opened = made(name, {f"{k}.png": 16 for k in range(count)})
    return PanoramaScores.empty(
        opened,
        "demo",
        "squash",
        ["yaws.squash/0"],
        fits=fits,
        orbits=np.zeros((count, len(fits)), np.float32),
        features=generator.normal(size=(count, rows, width)).astype(np.float32),
        seams=np.zeros((count, 9)),
    )


@pytest.mark.parametrize(
    ("theirs", "compared"),
    [
        ({"a.png": 16, "b.png": 32}, True),
        ({"a.png": 16, "b.png": 32, "z.png": 64}, True),
        ({"a.png": 32, "b.png": 16}, False),
    ],
)
def test_seams_are_compared_where_common_panoramas_have_one_size(theirs, compared):
    sets = [made("first", {"a.png": 16, "b.png": 32}), made("second", theirs)]
    names = ["DS", "DS.excess", "orbit.squash"]
    table = pa.table({"first": ["first"] * 3, "second": ["second"] * 3, "name": names})
    kept, notices = comparable_rows(table, sets)
    assert kept["name"].to_pylist() == (names if compared else ["orbit.squash"])
    said = "first (32 x 16) and second (64 x 32): panoramas of other sizes, as a; "
    assert [notice.startswith(said) for notice in notices] == [True] * (not compared)


def test_what_a_set_lacks_by_itself_is_in_no_set():
    lacking = dataclasses.replace(made("first", {"a.png": 16}), missing=("b",))
    (row,) = unpaired_rows([], [lacking]).to_pylist()
    assert row == {"panorama": "b", "in_set": None, "missing_in": "first"}


def test_a_set_of_one_panorama_has_no_interval():
    sets = [made("one", {"a.png": 16}), made("two", {"a.png": 16, "b.png": 16})]
    assert lone_notices(sets) == [
        "one: a single panorama; its intervals have no width and no meaning."
    ]


def test_a_reference_that_is_too_small_is_named():
    ours, real = result("ours", 6), result("real", 3)
    table, notices = distance_rows([ours], [real], "squash", [range(6)])
    assert table["name"].to_pylist() == ["CMMD", "CMMD.unbiased"]
    assert "3 panoramas of real give no covariance of 3 dimensions, which takes 4" in notices[0]
    _, notices = distance_rows([ours], [result("one", 1)], "squash", [range(6)])
    assert notices[0] == "ours: no distance to one; one of both is a single panorama."


def test_pictures_lie_at_a_distance_from_pictures_alone():
    ours, views, real = result("ours", 6), result("views", 6, stacked=True), result("real", 6)
    assert like_reference([ours, views], real)[0] == [ours]
    kept, notices = like_reference([ours, views], result("natural", 6, stacked=True))
    assert kept == [views]
    assert notices == ["ours: panoramas; natural: views and no panoramas; so no distances."]
    table, _ = distance_rows([views], [result("natural", 2, stacked=True)], "squash", [range(6)])
    assert table["name"].to_pylist() == ["CMMD", "CMMD.unbiased", "CLIP-Frechet"]
    assert (table["n"].to_pylist()[0], table["n_reference"].to_pylist()[0]) == (6, 2)
