"""Panoramas in every layout that generators and evaluation code leave, and what is refused."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jclip.data.captions import CaptionRules
from jclip.data.images import decode
from jclip.data.panorama_sets import (
    find_panoramas,
    open_panorama_sets,
    pair_key,
    pair_sets,
    require_two_to_one,
)
from jclip.errors import InputError
from jclip.images.tone_mapping import TONE_MAPS, tone_mapped

LAYOUTS = Path(__file__).parents[1] / "golden" / "panorama_scores" / "layouts"
FIRST = "2azQ1b91cZZ_" + "0b1d0e4a" * 4
SECOND = "2azQ1b91cZZ_" + "1f2e3d4c" * 4


def tiny(seed, width=16, height=8):
    shape = (height, width, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def opened(source, **options):
    (one,), _ = open_panorama_sets([str(source)], **options)
    return one


def contents(one):
    return {i.name: t for i, t in zip(one.images, one.captions, strict=True)}


@pytest.fixture
def layouts(tmp_path):
    return Path(shutil.copytree(LAYOUTS, tmp_path / "layouts"))


def test_panfusion_data(layouts):
    one = opened(layouts / "panfusion" / "mp3d_skybox")
    assert one.name == "mp3d_skybox"
    assert contents(one) == {
        FIRST: "a room number 0 with a table",
        SECOND: "a room number 1 with a table",
    }
    assert one.view_captions[1] == tuple(f"room 1 towards {d}" for d in range(0, 360, 45))
    np.testing.assert_array_equal(decode(one.images[1]), tiny(1))
    every = opened(layouts / "panfusion" / "mp3d_skybox", split="all")
    assert len(every.images) == 3 and not one.stacked
    with pytest.raises(InputError, match="no split validation; there are test, train, all"):
        opened(layouts / "panfusion" / "mp3d_skybox", split="validation")


def test_panfusion_data_that_is_incomplete(layouts):
    root = layouts / "panfusion" / "mp3d_skybox"
    view = SECOND.partition("_")[2]
    (root / "2azQ1b91cZZ" / "blip3" / f"{view}_45.txt").unlink()
    with pytest.raises(InputError, match=f"{SECOND} has 7 captions of its 8 views"):
        opened(root)
    (root / "2azQ1b91cZZ" / "matterport_stitched_images" / f"{view}.png").unlink()
    one = opened(root)
    assert len(one.images) == 1 and "1 panoramas of split test are not there" in one.notices[0]
    assert one.missing == (SECOND,)
    np.save(root / "test.npy", np.array([{"an": "object"}]), allow_pickle=True)
    with pytest.raises(InputError, match=r"test.npy: not an array of names"):
        opened(root)


def test_the_aligned_variant(layouts):
    root = layouts / "panfusion" / "mp3d_skybox"
    for folder in root.glob("*/matterport_stitched_images"):
        folder.rename(folder.with_name("matterport_aligned_images"))
    (root / "lo_test.txt").write_text(f"{SECOND}\n")
    assert list(contents(opened(root))) == [SECOND]


@pytest.mark.parametrize("below", ["", "test"])
def test_panfusion_results(layouts, below):
    one = opened(layouts / "panfusion" / "logs" / "abcd1234" / below)
    assert one.name == "abcd1234"
    assert list(contents(one).items())[1] == (SECOND, "a room number 1 with a table")
    np.testing.assert_array_equal(decode(one.images[0]), tiny(20))
    (layouts / "panfusion" / "logs" / "abcd1234" / "test" / FIRST / "pano.png").unlink()
    one = opened(layouts / "panfusion" / "logs" / "abcd1234" / below)
    assert len(one.images) == 1 and "1 results have no pano.png" in one.notices[0]
    assert one.missing == (FIRST,)


def test_panfusion_predictions_are_jpegs_and_may_be_repeated(layouts):
    run = layouts / "panfusion" / "logs" / "abcd1234"
    for number, scene in enumerate(sorted((run / "test").iterdir())):
        drawn = run / "predict" / f"{scene.name}_{number + 2:06d}"
        drawn.mkdir(parents=True)
        Image.open(scene / "pano.png").save(drawn / "pano.jpg")
        shutil.copy(scene / "prompt.txt", drawn)
    (one,), real = open_panorama_sets(
        [str(run / "predict")], reference=str(layouts / "panfusion" / "mp3d_skybox")
    )
    assert one.name == "abcd1234"
    assert contents(one)[f"{SECOND}_000003"] == "a room number 1 with a table"
    assert one.view_captions == real.view_captions and real.view_captions


def test_panfusion_results_that_are_not_merged_are_refused(layouts):
    test = layouts / "panfusion" / "logs" / "abcd1234" / "test"
    for scene in test.iterdir():
        (scene / "pano.png").unlink()
        for k in range(8):
            Image.fromarray(tiny(k, 8, 8)).save(scene / f"{k}.png")
    with pytest.raises(InputError, match=r"1 lines, .*of PanFusion's results pano.png is scored"):
        opened(test)


def test_results_take_captions_of_views_from_the_real_panoramas(layouts):
    folder = layouts / "panfusion"
    sets, real = open_panorama_sets(
        [str(folder / "logs" / "abcd1234")], reference=str(folder / "mp3d_skybox")
    )
    assert sets[0].view_captions == real.view_captions and len(real.view_captions) == 2
    assert "captions of views are those of mp3d_skybox" in sets[0].notices[-1]


def test_mvdiffusion(layouts):
    one = opened(layouts / "mvdiffusion" / "images")
    assert one.name == "mvdiffusion" and one.stacked
    assert one.view_captions[1][2] == "room 1 towards 90"
    pixels = decode(one.images[0]).reshape(8, 8, 8, 3)
    np.testing.assert_array_equal(pixels[3], tiny(43, 8, 8))
    (layouts / "mvdiffusion" / "images" / FIRST / "5.png").unlink()
    with pytest.raises(InputError, match="no picture 5 of 8"):
        opened(layouts / "mvdiffusion")


def test_the_real_pictures_of_mvdiffusion_are_a_reference(layouts):
    folder = layouts / "mvdiffusion" / "images"
    (one,), real = open_panorama_sets([str(folder)], reference=str(folder))
    assert real.name == "mvdiffusion_natural" and real.stacked
    assert contents(real) == contents(one) and real.view_captions == one.view_captions
    with Image.open(folder / SECOND / "3_natural.png") as third:
        np.testing.assert_array_equal(
            decode(real.images[1]).reshape(8, 8, 8, 3)[3], third.convert("RGB")
        )
    (folder / FIRST / "5_natural.png").unlink()
    with pytest.raises(InputError, match="no picture 5_natural of 8"):
        open_panorama_sets([str(folder)], reference=str(folder))


def test_survey_pairs_by_lexicographic_order(layouts):
    one = opened(layouts / "survey")
    assert contents(one) == {f"{n}.png": f"caption of {n}" for n in (1, 2, 10)}
    folder, text = layouts / "survey" / "generated", layouts / "survey" / "prompts.txt"
    rules = CaptionRules(order="lexicographic")
    assert contents(opened(folder, captions=text, rules=rules)) == contents(one)
    natural = opened(folder, captions=text)
    assert contents(natural)["2.png"] == "caption of 10"
    assert "in natural order; the other of natural (1, 2, 10)" in natural.notices[-1]


def test_text_per_image(layouts):
    folder = layouts / "text_per_image"
    with pytest.raises(InputError, match="2 lines; an image has one caption"):
        opened(folder)
    assert contents(opened(folder, rules=CaptionRules(lines="first")))["atrium.png"] == "the atrium"
    whole = contents(opened(folder, rules=CaptionRules(lines="whole")))
    assert whole["atrium.png"] == "the atrium a second line that is not part of the caption"


def test_nested(layouts):
    found = contents(opened(layouts / "nested"))
    assert found["house/upstairs/attic.png"] == "an attic, dusty" and len(found) == 3


def test_panoeval(layouts):
    folder = layouts / "panoeval"
    assert contents(opened(folder / "generated.jsonl")) == {"gen/a.png": "a hall"}
    assert contents(opened(folder)) == {"gen/a.png": "a hall"}
    with pytest.raises(InputError, match="no captions"):
        opened(folder / "real.jsonl")
    _, real = open_panorama_sets([str(folder)], reference=str(folder / "real.jsonl"))
    assert contents(real) == {"real/b.png": ""}
    (folder / "generated.jsonl").write_text(json.dumps({"gen_img_path": 3}) + "\n")
    with pytest.raises(InputError, match="entry 1: field 'gen_img_path' is missing or no text"):
        opened(folder / "generated.jsonl")
    (folder / "generated.jsonl").write_text('{"gen_img_path": "gen/a.png"}\n\n{"gen_img_path": \n')
    for source in (folder, folder / "generated.jsonl"):
        with pytest.raises(InputError, match=r"generated\.jsonl, line 3: not JSON"):
            opened(source)
    (folder / "generated.jsonl").write_text('{"gen_img_path": "gen/a.png"}\n[1]\n')
    with pytest.raises(InputError, match=r"generated\.jsonl, line 2: not an object"):
        opened(folder)


def test_panoeval_scenes(tmp_path):
    scene = tmp_path / "scenes" / "hall"
    scene.mkdir(parents=True)
    Image.fromarray(tiny(0)).save(scene / "7_equirectangular.jpg")
    (scene / "7_caption.txt").write_text("a hall\n")
    assert contents(opened(tmp_path / "scenes")) == {"hall/7": "a hall"}


def test_a_layout_can_be_named(layouts):
    with pytest.raises(InputError, match="not in the layout survey"):
        opened(layouts / "nested", layout="survey")
    named = find_panoramas(f"mine={layouts / 'survey'}", 10**6)
    assert named.name == "mine"


@pytest.mark.parametrize("tone_map", TONE_MAPS)
def test_tone_maps(tone_map):
    expected = np.load(LAYOUTS / "hdr" / "expected.npz")
    for kind in ("hdr", "exr"):
        found = tone_mapped(expected[kind], tone_map).astype(int)
        differ = found != expected[f"{kind}_{tone_map}"]
        assert differ.sum() <= 2
        assert np.abs(found - expected[f"{kind}_{tone_map}"]).max() <= 1


def test_hdr_needs_a_tone_map(layouts):
    with pytest.raises(InputError, match="one of percentile_50") as error:
        opened(layouts / "hdr")
    assert error.value.argument == "tone_map"


@pytest.mark.parametrize("name", ["lamp.hdr", "lamp.exr"])
def test_hdr_files(layouts, name):
    for other in (layouts / "hdr").glob("lamp.*"):
        if other.name != name:
            other.unlink()
    (layouts / "hdr" / "captions.csv").write_text(f"file,caption\n{name},a lamp\n")
    expected = np.load(layouts / "hdr" / "expected.npz")
    one = opened(layouts / "hdr", tone_map="clip_srgb")
    assert contents(one) == {name: "a lamp"} and "tone map clip_srgb" in one.notices[0]
    assert (one.images[0].height, one.images[0].width) == (8, 16)
    golden = expected[f"{name[-3:]}_clip_srgb"].astype(int)
    assert np.abs(decode(one.images[0]).astype(int) - golden).max() <= 1
    assert one.digest != opened(layouts / "hdr", tone_map="clip_gamma_2_2").digest


def test_sets_are_paired_by_name(panorama_folder):
    first = panorama_folder(("a.png", "b.png", "c.png"), name="first")
    second = panorama_folder(("b.jpg", "c.jpg", "d.jpg"), name="second")
    sets, _ = open_panorama_sets([str(first), str(second)])
    pairing = pair_sets(*sets)
    assert pairing.common == ("b", "c") and not pairing.whole
    assert (pairing.only_first, pairing.only_second) == (("a",), ("d",))
    other = panorama_folder(("x.png",), name="other")
    with pytest.raises(InputError, match="first and other have no panorama of one name"):
        pair_sets(sets[0], opened(other))
    assert pair_key("scene/a.v2.png") == "scene/a.v2" and pair_key("scene_a.1") == "scene_a.1"


def test_bad_sets_are_refused(panorama_folder):
    folder = panorama_folder(size=(60, 32))
    with pytest.raises(InputError, match=r"a.png: 60 x 32 pixels; .* twice as wide"):
        require_two_to_one([opened(folder)])
    twice = panorama_folder(("a.png", "a.jpg"), name="twice")
    with pytest.raises(InputError, match="two panoramas are called a"):
        opened(twice)
    with pytest.raises(InputError, match="is the name of two sets"):
        open_panorama_sets([str(folder)], reference=str(folder))


def test_prompts_and_panoramas_that_do_not_match_by_name(panorama_folder):
    folder = panorama_folder()
    table, text = folder / "captions.csv", folder / "prompts.txt"

    def refused(**options):
        with pytest.raises(InputError) as error:
            opened(folder, **options)
        return error.value.message

    table.write_text("file,caption\na.png,a hall\nb.png,a pond\nz.png,a den\n")
    said = f"{table}, line 4: caption for 'z.png', which is not among the images"
    assert refused() == said
    table.write_text("file,caption\na.png,a hall\nb.png,a pond\n")
    assert refused() == f"{table}: no caption for 'c.png' (1 images without)"
    table.unlink()
    for name in "abz":
        (folder / f"{name}.txt").write_text("a hall")
    assert refused().startswith(f"{folder}: no .txt beside 'c.png' for its caption")
    text.write_text("a hall\na pond\n")
    assert refused(captions=text) == f"{text}: 2 lines for 3 images"
