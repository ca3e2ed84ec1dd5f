"""Hard-negative benchmarks in their own layouts, and what is refused in them."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jclip.data.foil_files import (
    read_aro,
    read_aro_order,
    read_half_truths,
    read_sugar_crepe,
    read_sugar_crepe_pp,
)
from jclip.data.foil_sources import open_foils
from jclip.data.images import decode
from jclip.data.paired_files import read_colorswap, read_winoground
from jclip.errors import InputError

GOLDEN = Path(__file__).parents[1] / "golden" / "foils"
LAYOUTS, MALFORMED = GOLDEN / "layouts", GOLDEN / "malformed"
READERS = {
    "sugar_crepe_pp": read_sugar_crepe_pp,
    "sugar_crepe": read_sugar_crepe,
    "aro": read_aro,
    "order": read_aro_order,
    "winoground": read_winoground,
    "colorswap": read_colorswap,
    "half_truths": lambda path: read_half_truths(path, " and "),
}
REFUSED = {
    name: told
    for name, told in json.loads((MALFORMED / "malformed.json").read_text()).items()
    if not name.startswith("fg_clip")
}


def reader(name):
    return next(read for start, read in READERS.items() if name.startswith(start))


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_malformed_is_refused_in_one_line(name):
    with pytest.raises(InputError) as refused:
        reader(name)(MALFORMED / name)
    message = str(refused.value)
    assert "\n" not in message
    assert not [word for word in REFUSED[name]["names"] if word not in message]


def test_every_reader_is_tried_with_something_malformed():
    assert {reader(name) for name in REFUSED} == set(READERS.values())


def place_pictures(folder, rng_seed=0):
    """Small pictures below a folder, under every name that the layouts have."""
    names = set()
    for path in LAYOUTS.rglob("*.json*"):
        names |= set(re.findall(r'"([^"]+\.(?:jpg|png))"', path.read_text()))
    names |= {f"ex_{k}_img_{i}.png" for k in range(12) for i in (0, 1)}
    rng = np.random.default_rng(rng_seed)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (240, 320, 3), np.uint8)).save(folder / name)
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return place_pictures(tmp_path_factory.mktemp("pictures"))


def sources(*kinds):
    return [
        f"half_truths:{LAYOUTS}/half_truths/units.json"
        if kind == "half_truths"
        else f"{kind}:{LAYOUTS / kind}"
        for kind in kinds
    ]


def test_all_layouts_become_one_kind_of_record(pictures):
    kinds = ("sugar_crepe", "sugar_crepe_pp", "aro", "winoground", "colorswap", "half_truths")
    foils = open_foils(sources(*kinds), {"": pictures})
    shapes = {s.name: (len(s.records), *s.right.shape[1:]) for s in foils.sets}
    assert shapes == {
        "sugar_crepe/add_att": (12, 1, 2),
        "sugar_crepe/replace_rel": (15, 1, 2),
        "sugar_crepe/swap_obj": (11, 1, 2),
        "sugar_crepe_pp/swap_obj": (14, 1, 3),
        "aro/visual_genome_relation": (16, 1, 2),
        "aro/visual_genome_attribution": (60, 1, 2),
        "aro/coco_order_frozen": (15, 1, 5),
        "winoground": (12, 2, 2),
        "colorswap/test": (11, 2, 2),
        "half_truths/entities": (10, 1, 2),
        "half_truths/relations": (10, 1, 2),
    }
    assert len(set(foils.texts)) == len(foils.texts)
    # Three files of SugarCrepe show the same pictures, which are decoded and embedded once.
    crepe = [s for s in foils.sets if s.benchmark == "sugar_crepe"]
    assert len(np.unique(np.concatenate([s.pictures.ravel() for s in crepe]))) == 8


def test_ids_with_a_hole_stay_ids(pictures):
    (only,) = open_foils([f"sugar_crepe:{LAYOUTS}/sugar_crepe/swap_obj.json"], {"": pictures}).sets
    assert only.records == ("0", "1", "2", "3", "5", "6", "7", "8", "9", "10", "11")


def test_boxes_are_cut_out(pictures):
    foils = open_foils(sources("aro"), {"aro": pictures})
    relation = next(s for s in foils.sets if s.benchmark == "aro_relation")
    picture = foils.pictures[relation.pictures[0, 0]]
    assert picture.box == (16, 1, 60, 107)
    assert relation.groups[:4] == ("on", "on", "on", "riding")


def test_pictures_inside_parquet_are_read(tmp_path):
    shutil.copy(LAYOUTS / "winoground" / "test-00000-of-00001.parquet", tmp_path)
    foils = open_foils([f"winoground:{tmp_path}"], {})
    assert len(foils.pictures) == 24
    assert decode(foils.pictures[0].image).shape == (6, 8, 3)


def test_half_truths_are_joined_as_asked(pictures):
    foils = open_foils(sources("half_truths"), {"": pictures}, joint=" with ")
    assert "cup with bag" in foils.texts
    assert "person carries cup with cup carries person" in foils.texts


def test_unwinnable_foils_are_found_and_left_out(pictures):
    foils = open_foils(sources("sugar_crepe_pp", "aro"), {"": pictures})
    plus, order = (s for s in foils.sets if s.benchmark in ("sugar_crepe_pp", "aro_order"))
    assert np.argwhere(plus.unwinnable()).tolist() == [[1, 2], [5, 2]]
    assert len(plus.winnable().records) == 12 and "5" not in plus.winnable().records
    # A permutation that changed nothing goes; the record has three others.
    assert np.argwhere(order.unwinnable()).tolist() == [[2, 3]]
    assert len(order.winnable().records) == 15
    assert order.winnable().present.sum() == order.present.sum() - 1


@pytest.mark.parametrize(
    ("given", "images", "said"),
    [
        ("sugar_creep:x", {}, "KIND:PATH"),
        ("sugar_crepe", {}, "KIND:PATH"),
        ("sugar_crepe:/nowhere/at/all", {}, "no such file or folder"),
        (f"colorswap:{LAYOUTS}/sugar_crepe", {}, "test.json, train.json"),
        (f"half_truths:{LAYOUTS}/half_truths", {}, "one file"),
        (f"sugar_crepe:{LAYOUTS}/sugar_crepe", {}, "record 0: picture '000000002000.jpg'"),
        (f"sugar_crepe:{LAYOUTS}/sugar_crepe", {"coco": Path(".")}, "coco: none of"),
        (f"aro:{LAYOUTS}/aro/coco_karpathy_test.json", {}, "image_path"),
    ],
)
def test_sources_that_are_none(given, images, said):
    with pytest.raises(InputError, match=re.escape(said)):
        open_foils([given], images)


def test_a_set_is_not_given_twice(pictures):
    with pytest.raises(InputError, match="two files hold this set"):
        open_foils(sources("colorswap", "colorswap"), {"": pictures})
