"""The demo world as TFDS data sets, written and read without TensorFlow.

    config = DemoConfig(height=64, seed=0, train=1000, validation=100, test=100)
    sources = prepare(DemoPanoramas(config=config, data_dir=folder))
    sources["test"][0]["image"]  # [64, 128, 3] uint8

Examples stand in the order of their scenes. Texts are read as UTF-8 bytes, as from every TFDS data
set. Splits never share a scene.
"""

import dataclasses
import functools
import io
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from jclip.data.demo_world import SCENES_AT_ONCE, View, check_seed_and_height, draw_scenes
from jclip.demo.scenes import SPLITS
from jclip.errors import InputError

# TFDS keeps a file's examples in memory while it writes the file.
_DRAWN_BYTES_PER_FILE = 1 << 28


@dataclasses.dataclass(eq=False, kw_only=True)
class DemoConfig(tfds.core.BuilderConfig):
    """What a data set of the demo world holds; a folder's name tells all of it.

    `height` is that of an image in pixels: photos are as wide, panoramas twice as wide. `train`,
    `validation` and `test` are numbers of scenes; a split of none is left out.

    Raises:
        InputError: A number is out of range, or there are no scenes at all.
    """

    name: str = dataclasses.field(init=False)
    height: int
    seed: int
    train: int = 0
    validation: int = 0
    test: int = 0

    def __post_init__(self):
        scenes = {split: getattr(self, split) for split in SPLITS}
        check_seed_and_height(self.seed, self.height)
        if min(scenes.values()) < 0:
            raise InputError(f"scenes {scenes}: a number is negative")
        if not any(scenes.values()):
            raise InputError(f"scenes {scenes}: at least one split needs some")
        numbers = {"height": self.height, "seed": self.seed, **scenes}
        self.name = "-".join(f"{key}{number}" for key, number in numbers.items())


class _DemoBuilder(tfds.core.ShardBasedBuilder, skip_registration=True):
    """Captioned pictures, one of each scene, in files in the order of scenes, one after the other.

    `caption` begins with a format word, `content` is the same without that word. TFDS's more usual
    builder, which shuffles, needs TensorFlow from 1 GB on.
    """

    # To be raised when the demo world draws or describes anything in another way.
    VERSION = tfds.core.Version("2.0.0")
    # There is nothing to download. TFDS would look for checksums beside this file, by means of a
    # package that it uses but does not require.
    url_infos = None
    _view: View
    _aspect: int

    @property
    def _options(self) -> DemoConfig:
        if not isinstance(self.builder_config, DemoConfig):
            raise ValueError(f"{self.name} needs config=DemoConfig(...)")
        return self.builder_config

    def _info(self) -> tfds.core.DatasetInfo:
        height = self._options.height
        features = {
            "image": tfds.features.Image(
                shape=(height, self._aspect * height, 3), encoding_format="png"
            ),
            "scene": np.int32,
            "caption": tfds.features.Text(),
            "content": tfds.features.Text(),
        }
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.__doc__,
            features=tfds.features.FeaturesDict(features),
            disable_shuffling=True,
        )

    def _shard_iterators_per_split(self, dl_manager: Any):
        most = max(1, _DRAWN_BYTES_PER_FILE // (3 * self._aspect * self._options.height**2))
        shards = {}
        for split in SPLITS:
            if scenes := range(getattr(self._options, split)):
                parts = (scenes[start : start + most] for start in scenes[::most])
                shards[split] = [functools.partial(self._examples, split, part) for part in parts]
        return shards

    def _examples(self, split: str, scenes: Sequence[int]) -> Iterator[tuple[int, dict[str, Any]]]:
        options = self._options
        # All files and splits share one compiled renderer.
        at_once = min(max(getattr(options, name) for name in SPLITS), SCENES_AT_ONCE)
        drawing = {"seed": options.seed, "split": split, "at_once": at_once}
        for drawn in draw_scenes(self._view, scenes, options.height, **drawing):
            words = {"caption": drawn.caption, "content": drawn.content}
            yield drawn.index, {"image": _png(drawn.pixels), "scene": drawn.index, **words}


class DemoPanoramas(_DemoBuilder):
    """Equirectangular panoramas `[H, 2H, 3]` of a rendered world, with captions."""

    _view = "panorama"
    _aspect = 2


class DemoPhotos(_DemoBuilder):
    """Perspective photos `[H, H, 3]` of a rendered world, with captions."""

    _view = "photo"
    _aspect = 1


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="png")
    return file.getvalue()


def prepare(builder: tfds.core.DatasetBuilder) -> dict[str, Sequence[Any]]:
    """Writes a data set unless it is there already, and opens it: examples by split and number."""
    builder.download_and_prepare(file_format="array_record")
    sources: Any = builder.as_data_source()
    return sources
