"""Every layout that generators and evaluation code leave, as the command lines take it."""

import shutil
from pathlib import Path

import pytest

from jclip.errors import InputError
from jclip.runs.options import ImageOptions
from jclip.runs.panorama_options import PanoramaOptions

LAYOUTS = Path(__file__).parents[1] / "golden" / "panorama_scores" / "layouts"
FIRST_SCENE = "2azQ1b91cZZ_" + "0b1d0e4a" * 4
ONLY = "panorama_score is the experiment that reads them"


def scenes(folder):
    """PanoEval's other layout, which has no miniature."""
    (folder / "hall").mkdir(parents=True)
    shutil.copy(
        LAYOUTS / "text_per_image" / "atrium.png", folder / "hall" / "7_equirectangular.png"
    )
    (folder / "hall" / "7_caption.txt").write_text("a hall\n")
    return folder


def read(options):
    sets = options.open()
    (one,) = sets[0] if isinstance(sets, tuple) else sets
    return dict(zip((image.name for image in one.images), one.captions, strict=True))


@pytest.mark.parametrize(
    ("layout", "count", "name", "caption"),
    [
        ("panfusion/mp3d_skybox", 2, FIRST_SCENE, "a room number 0 with a table"),
        ("panfusion/logs/abcd1234", 2, FIRST_SCENE, "a room number 0 with a table"),
        ("panfusion/logs/abcd1234/test", 2, FIRST_SCENE, "a room number 0 with a table"),
        ("survey", 3, "2.png", "caption of 2"),
        ("nested/**", 3, "house/upstairs/attic.png", "an attic, dusty"),
        ("panoeval", 1, "gen/a.png", "a hall"),
        ("panoeval/generated.jsonl", 1, "gen/a.png", "a hall"),
        ("scenes", 1, "hall/7", "a hall"),
    ],
)
def test_panoramas_with_one_caption_are_read_by_every_experiment(
    tmp_path, layout, count, name, caption
):
    source = str(scenes(tmp_path / "scenes") if layout == "scenes" else LAYOUTS / layout)
    found = read(PanoramaOptions(images=(source,)))
    assert len(found) == count and found[name] == caption
    assert read(ImageOptions(images=(source,))) == found
    (named,) = ImageOptions(images=(f"mine={source}",)).open()
    assert named.name == "mine"


@pytest.mark.parametrize(
    ("layout", "options", "count", "said"),
    [
        ("mvdiffusion/images", {}, 2, f"eight pictures of a scene and no panoramas; {ONLY}"),
        ("mvdiffusion", {}, 2, f"eight pictures of a scene and no panoramas; {ONLY}"),
        ("hdr", {"tone_map": "clip_srgb"}, 1, f"HDR images, which take a tone map; {ONLY}"),
        ("nested", {}, 3, r"nested/\*\*' reads those below it"),
        ("text_per_image", {"caption_lines": "first"}, 2, "2 lines; an image has one caption"),
    ],
)
def test_other_layouts_are_read_by_panorama_score_alone(tmp_path, layout, options, count, said):
    source = LAYOUTS / layout
    if layout == "hdr":
        source = shutil.copytree(source, tmp_path / layout)
        (source / "lamp.hdr").unlink()
        (source / "captions.csv").write_text("file,caption\nlamp.exr,a lamp\n")
    assert len(read(PanoramaOptions(images=(str(source),), **options))) == count
    with pytest.raises(InputError, match=said) as refused:
        ImageOptions(images=(str(source),)).open()
    assert "\n" not in str(refused.value)


def test_hdr_images_are_refused_without_their_libraries():
    with pytest.raises(InputError, match=f"HDR images, which take a tone map; {ONLY}"):
        ImageOptions(images=(str(LAYOUTS / "hdr"),)).open()


def test_a_split_that_is_not_there(tmp_path):
    root = shutil.copytree(LAYOUTS / "panfusion" / "mp3d_skybox", tmp_path / "mp3d_skybox")
    (root / "test.npy").unlink()
    with pytest.raises(InputError, match=f"no split test; there are train, all; {ONLY}") as refused:
        ImageOptions(images=(str(root),)).open()
    assert refused.value.argument is None
