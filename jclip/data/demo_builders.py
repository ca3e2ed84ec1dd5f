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

from jclip.data.demo_world import (
    SCENES_AT_ONCE,
    check_seed_and_height,
    draw_panoramas,
    draw_photos,
)
from jclip.demo import describe_object, fine_grained_sets, object_words
from jclip.demo.negatives import SETS
from jclip.demo.scenes import SPLITS
from jclip.demo.vocabulary import BACKDROPS, GROUNDS, SKIES
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
    """What the three data sets share: files in the order of scenes, written one at a time.

    TFDS's more usual builder, which shuffles, needs TensorFlow from 1 GB on.
    """

    # To be raised when the demo world draws, describes or boxes anything in another way.
    VERSION = tfds.core.Version("1.1.0")
    # There is nothing to download. TFDS would look for checksums beside this file, by means of a
    # package that it uses but does not require.
    url_infos = None
    _aspect = 1
    _description = ""

    @property
    def _options(self) -> DemoConfig:
        if not isinstance(self.builder_config, DemoConfig):
            raise ValueError(f"{self.name} needs config=DemoConfig(...)")
        return self.builder_config

    def _info(self) -> tfds.core.DatasetInfo:
        height = self._options.height
        image = tfds.features.Image(shape=(height, self._aspect * height, 3), encoding_format="png")
        features = {"image": image, "scene": np.int32, **self._features()}
        return tfds.core.DatasetInfo(
            builder=self,
            description=self._description,
            features=tfds.features.FeaturesDict(features),
            disable_shuffling=True,
        )

    def _shard_iterators_per_split(self, dl_manager: Any):
        most = max(1, _DRAWN_BYTES_PER_FILE // (3 * self._aspect * self._options.height**2))
        shards = {}
        for split in SPLITS:
            if getattr(self._options, split):
                items = self._items(split)
                parts = (items[start : start + most] for start in range(0, len(items), most))
                shards[split] = [functools.partial(self._examples, split, part) for part in parts]
        return shards

    def _items(self, split: str) -> Sequence[Any]:
        """What the examples are made of, one item a scene."""
        return range(getattr(self._options, split))

    def _drawing(self, split: str) -> dict[str, Any]:
        """Arguments that let all files and splits share one compiled renderer."""
        largest = max(getattr(self._options, name) for name in SPLITS)
        at_once = min(largest, SCENES_AT_ONCE)
        return {"seed": self._options.seed, "split": split, "at_once": at_once}

    def _features(self) -> dict[str, Any]:
        raise NotImplementedError

    def _examples(self, split: str, items: Sequence[Any]) -> Iterator[tuple[int, dict[str, Any]]]:
        raise NotImplementedError


class DemoPanoramas(_DemoBuilder):
    """Panoramas `[H, 2H, 3]`, with and without a 360-degree format word in their captions."""

    _aspect = 2
    _description = """Equirectangular panoramas of a rendered world.

    `caption` begins with a 360-degree format word, `content` is the same without that word."""

    def _features(self) -> dict[str, Any]:
        words = {"sky": SKIES, "ground": GROUNDS, "backdrop": BACKDROPS}
        labels = {key: tfds.features.ClassLabel(names=list(all_)) for key, all_ in words.items()}
        return {"caption": tfds.features.Text(), "content": tfds.features.Text(), **labels}

    def _examples(self, split: str, items: Sequence[Any]) -> Iterator[tuple[int, dict[str, Any]]]:
        for drawn in draw_panoramas(items, self._options.height, **self._drawing(split)):
            example = {"caption": drawn.caption, "content": drawn.content}
            labels = {key: int(getattr(drawn.scene, key)) for key in ("sky", "ground", "backdrop")}
            image = {"image": _png(drawn.pixels), "scene": drawn.index}
            yield drawn.index, {**image, **example, **labels}


class DemoPhotos(_DemoBuilder):
    """Photos `[H, H, 3]`, one of each scene, with camera, captions and boxes."""

    _description = """Perspective photos of a rendered world.

    `caption` begins with a photo word, `content` is the same without that word. The camera's yaw
    (to the right), pitch (up) and field of view (across) are in degrees. `objects` are those that
    the photo shows: `bbox` is x, y, width and height in pixels, `visible` the share that is in the
    frame and not hidden, `caption` names the object and all of its attributes."""

    def _features(self) -> dict[str, Any]:
        camera = dict.fromkeys(("yaw", "pitch", "field_of_view"), np.float32)
        box = tfds.features.Tensor(shape=(4,), dtype=np.float32)
        object_ = {"bbox": box, "visible": np.float32, "caption": tfds.features.Text()}
        return {
            "caption": tfds.features.Text(),
            "content": tfds.features.Text(),
            "camera": camera,
            "objects": tfds.features.Sequence(object_),
        }

    def _examples(self, split: str, items: Sequence[Any]) -> Iterator[tuple[int, dict[str, Any]]]:
        for drawn in draw_photos(items, self._options.height, **self._drawing(split)):
            objects = [
                {
                    "bbox": drawn.boxes[place],
                    "visible": drawn.visible[place],
                    "caption": describe_object(object_words(drawn.scene, place)),
                }
                for place in np.flatnonzero(drawn.boxes[:, 2])
            ]
            yield (
                drawn.index,
                {
                    "image": _png(drawn.pixels),
                    "scene": drawn.index,
                    "caption": drawn.caption,
                    "content": drawn.content,
                    "camera": drawn.camera._asdict(),
                    "objects": objects,
                },
            )


class DemoBoxes(_DemoBuilder):
    """The eight fine-grained sets of `jclip.demo.fine_grained_sets`, one example a box."""

    _description = """Boxed objects in the photos of a rendered world, with hard negatives.

    `bbox` is x, y, width and height in pixels of the whole photo. `caption` is right;
    `negatives` has the wrong captions of each of the eight sets of FG-OVD."""

    def _features(self) -> dict[str, Any]:
        captions = tfds.features.Sequence(tfds.features.Text())
        return {
            "box": np.int32,
            "bbox": tfds.features.Tensor(shape=(4,), dtype=np.float32),
            "caption": tfds.features.Text(),
            "negatives": dict.fromkeys(SETS, captions),
        }

    def _items(self, split: str) -> Sequence[Any]:
        """Scenes that have boxes, each with them."""
        options = self._options
        scenes = getattr(options, split)
        sets = fine_grained_sets(options.seed, scenes, split=split, size=options.height)
        names = {
            key: {category["id"]: category["name"] for category in content["categories"]}
            for key, content in sets.items()
        }
        boxes: dict[int, list[dict[str, Any]]] = {}
        for rows in zip(*(content["annotations"] for content in sets.values()), strict=True):
            first, captions = rows[0], names[next(iter(sets))]
            wrong = {
                key: [names[key][id_] for id_ in row["neg_category_ids"]]
                for key, row in zip(sets, rows, strict=True)
            }
            boxes.setdefault(first["image_id"], []).append({
                "box": first["id"],
                "bbox": np.asarray(first["bbox"], np.float32),
                "caption": captions[first["category_id"]],
                "negatives": wrong,
            })  # fmt: skip
        if not boxes:
            raise InputError(f"{split}: {scenes} scenes show no object well enough; take more")
        return list(boxes.items())

    def _examples(self, split: str, items: Sequence[Any]) -> Iterator[tuple[int, dict[str, Any]]]:
        boxes = dict(items)
        for drawn in draw_photos(list(boxes), self._options.height, **self._drawing(split)):
            image = {"image": _png(drawn.pixels), "scene": drawn.index}
            for box in boxes[drawn.index]:
                yield box["box"], {**image, **box}


def _png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="png")
    return file.getvalue()


def prepare(builder: tfds.core.DatasetBuilder) -> dict[str, Sequence[Any]]:
    """Writes a data set unless it is there already, and opens it: examples by split and number."""
    builder.download_and_prepare(file_format="array_record")
    sources: Any = builder.as_data_source()
    return sources
