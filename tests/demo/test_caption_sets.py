import jax
import numpy as np
import pytest
from PIL import Image

from jclip.data.coco_captions import read_coco_captions
from jclip.demo import caption_sets
from jclip.demo.caption_sets import write_caption_set
from jclip.demo.captions import PHOTO_WORDS
from jclip.errors import InputError

SCENES, SIZE = 5, 32


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Two scenes a batch, so that the last is padded; compiling is most of these tests' work."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(caption_sets, "_SCENES_AT_ONCE", 2)
        unoptimized = jax.config.read("jax_disable_most_optimizations")
        jax.config.update("jax_disable_most_optimizations", True)
        yield
        jax.config.update("jax_disable_most_optimizations", unoptimized)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("captions")
    write_caption_set(path, 3, SCENES, split="validation", size=SIZE)
    return path


def test_the_reader_takes_it(folder):
    read = read_coco_captions(folder / "captions.json")
    assert read.splits == {"val": SCENES}
    for number, image in enumerate(read.images):
        assert image.id == number
        with Image.open(folder / image.file) as picture:
            assert picture.size == (SIZE, SIZE) and np.asarray(picture).std() > 5
        assert 1 < len(image.captions) <= 5
        assert len(set(image.captions)) == len(image.captions)
        assert all(caption.startswith(PHOTO_WORDS) for caption in image.captions)


def test_fewer_scenes_are_the_first_ones(folder, tmp_path):
    write_caption_set(tmp_path, 3, 3, split="validation", size=SIZE)
    whole = read_coco_captions(folder / "captions.json").images
    assert read_coco_captions(tmp_path / "captions.json").images == whole[:3]
    for image in whole[:3]:
        assert (tmp_path / image.file).read_bytes() == (folder / image.file).read_bytes()


@pytest.mark.parametrize(
    ("scenes", "options", "message"),
    [(0, {}, "scenes=0"), (2, {"split": "dev"}, "'dev'"), (2, {"captions": 0}, "captions=0")],
)
def test_bad_input_is_named(tmp_path, scenes, options, message):
    with pytest.raises(InputError, match=message):
        write_caption_set(tmp_path, 0, scenes, **options)
    assert not list(tmp_path.iterdir())
