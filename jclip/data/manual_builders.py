"""FG-OVD and COCO captions as TFDS data sets, out of files that a person has downloaded.

    sources = prepare_from(FineGrainedBoxes(data_dir=folder), downloaded)
    sources["1_attributes"][0]["negatives"]

Neither may be downloaded by a program without accepting their terms, so the files lie in TFDS's
manual directory: annotation files at its top, images below it where the annotations say. Everything
is checked by the readers, written and read without TensorFlow, and images are kept as they are,
byte for byte. Texts are read as UTF-8 bytes, as from every TFDS data set.
"""

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from jclip.data.boxes import Box
from jclip.data.coco_captions import CaptionedImage, read_coco_captions
from jclip.data.fg_ovd import read_fg_ovd
from jclip.errors import InputError

# TFDS keeps a file's examples in memory while it writes the file.
_EXAMPLES_PER_FILE = 1000


class _ManualBuilder(tfds.core.ShardBasedBuilder, skip_registration=True):
    """What both data sets share: files in the order of the annotations, written one at a time."""

    VERSION = tfds.core.Version("1.0.0")
    # There is nothing to download; see the demo world's builders.
    url_infos = None
    _description = ""

    def _info(self) -> tfds.core.DatasetInfo:
        image = tfds.features.Image(shape=(None, None, 3))
        return tfds.core.DatasetInfo(
            builder=self,
            description=self._description,
            features=tfds.features.FeaturesDict({"image": image, **self._features()}),
            disable_shuffling=True,
        )

    def _shard_iterators_per_split(self, dl_manager: Any):
        folder = Path(dl_manager.manual_dir)
        shards = {}
        for split, items in self._splits(folder).items():
            parts = (items[i : i + _EXAMPLES_PER_FILE] for i in
                     range(0, len(items), _EXAMPLES_PER_FILE))  # fmt: skip
            shards[split] = [functools.partial(self._generate, folder, part) for part in parts]
        return shards

    def _generate(self, folder: Path, items: Sequence[Any]) -> Iterator[tuple[int, dict[str, Any]]]:
        for item in items:
            key, file, example = self._example(item)
            yield key, {"image": _encoded(folder / file), "file": file, **example}

    def _features(self) -> dict[str, Any]:
        raise NotImplementedError

    def _splits(self, folder: Path) -> dict[str, Sequence[Any]]:
        raise NotImplementedError

    def _example(self, item: Any) -> tuple[int, str, dict[str, Any]]:
        raise NotImplementedError


class FineGrainedBoxes(_ManualBuilder):
    """FG-OVD: a split per annotation file, by its stem, and an example per box."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "FG-OVD's .json files, and the COCO images below folders such as val2017/."
    )
    _description = """Boxes in COCO images with one right caption and hard negatives each.

    `bbox` is x, y, width and height in pixels of the whole image."""

    def _features(self) -> dict[str, Any]:
        return {
            "file": tfds.features.Text(),
            "annotation": np.int64,
            "bbox": tfds.features.Tensor(shape=(4,), dtype=np.float64),
            "caption": tfds.features.Text(),
            "negatives": tfds.features.Sequence(tfds.features.Text()),
        }

    def _splits(self, folder: Path) -> dict[str, Sequence[Box]]:
        return {path.stem: list(read_fg_ovd(path)) for path in _annotation_files(folder)}

    def _example(self, item: Box) -> tuple[int, str, dict[str, Any]]:
        return (
            item.annotation,
            item.image.file,
            {
                "annotation": item.annotation,
                "bbox": np.asarray(item.box),
                "caption": item.captions[0],
                "negatives": list(item.captions[1:]),
            },
        )


class CaptionedPhotos(_ManualBuilder):
    """COCO captions with Karpathy's splits: an example per image."""

    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "One .json file of Karpathy's format, and the images below folders such as val2014/."
    )
    _description = "Images with several captions each."

    def _features(self) -> dict[str, Any]:
        return {
            "file": tfds.features.Text(),
            "image_id": np.int64,
            "captions": tfds.features.Sequence(tfds.features.Text()),
        }

    def _splits(self, folder: Path) -> dict[str, Sequence[CaptionedImage]]:
        files = _annotation_files(folder)
        if len(files) > 1:
            raise InputError(f"{folder}: {len(files)} annotation files; one is expected")
        read = read_coco_captions(files[0])
        return {
            split: [image for image in read.images if image.split == split] for split in read.splits
        }

    def _example(self, item: CaptionedImage) -> tuple[int, str, dict[str, Any]]:
        return item.id, item.file, {"image_id": item.id, "captions": list(item.captions)}


def _annotation_files(folder: Path) -> list[Path]:
    files = sorted(folder.glob("*.json"))
    if not files:
        raise InputError(f"{folder}: no .json file of annotations")
    return files


def _encoded(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def prepare_from(builder: tfds.core.DatasetBuilder, folder: Path) -> dict[str, Sequence[Any]]:
    """Writes a data set unless it is there already, and opens it: examples by split and number.

    Args:
        builder: one of this module's.
        folder: with annotation files, and the images below it.

    Raises:
        InputError: a file is missing or wrong; see `read_fg_ovd` and `read_coco_captions`.
    """
    download = tfds.download.DownloadConfig(manual_dir=folder)
    builder.download_and_prepare(file_format="array_record", download_config=download)
    sources: Any = builder.as_data_source()
    return sources
