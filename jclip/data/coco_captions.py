"""COCO captions in Karpathy's JSON: images with several captions each, and a split."""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jclip.data.annotation_fields import entries, read_annotations, take
from jclip.data.known_formats import KARPATHY
from jclip.errors import InputError
from jclip.files.digests import sha256


@dataclasses.dataclass(frozen=True)
class CaptionedImage:
    """An image by its file, relative to the folder of images, with its captions."""

    id: int
    file: str
    split: str
    captions: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class CaptionSet:
    """One file; `name` is its stem, `sha256` its digest."""

    name: str
    images: tuple[CaptionedImage, ...]
    sha256: str

    @property
    def splits(self) -> dict[str, int]:
        """Number of images by split."""
        return dict(Counter(image.split for image in self.images))

    def first(self, count: int | None) -> "CaptionSet":
        """The same with at most so many captions of every image, the first; None: with all."""
        images = [
            dataclasses.replace(image, captions=image.captions[:count]) for image in self.images
        ]
        return dataclasses.replace(self, images=tuple(images))


def read_coco_captions(path: Path) -> CaptionSet:
    """Read one file; all of it is checked.

    Source of the format: Karpathy and Fei-Fei, "Deep Visual-Semantic Alignments for Generating
    Image Descriptions". `filepath`, the folder of an image, may be missing.

    Raises:
        InputError: naming the file, the image by its `imgid` and the field: not JSON, a field
            missing or of another type, an id or a file given twice, an image without captions, a
            sentence of another image, a caption that is blank.
    """
    images: list[CaptionedImage] = []
    files: dict[str, int] = {}
    sentences: set[int] = set()
    values = read_annotations(path, KARPATHY)
    for id_, entry, where in entries(path, values, "images", "image", "imgid"):
        image = _image(id_, entry, sentences, where)
        if image.file in files:
            raise InputError(f"{where}: field 'filename' is that of image {files[image.file]}")
        files[image.file] = id_
        images.append(image)
    return CaptionSet(path.stem, tuple(images), sha256(path))


def _image(id_: int, entry: Mapping[str, Any], sentences: set[int], where: str) -> CaptionedImage:
    file = take(entry, "filename", str, where)
    if "filepath" in entry:
        file = f"{take(entry, 'filepath', str, where)}/{file}"
    captions = []
    listed = take(entry, "sentences", list, where)
    if not listed or not all(isinstance(sentence, dict) for sentence in listed):
        raise InputError(f"{where}: field 'sentences' is empty or not a list of objects")
    for sentence in listed:
        sentence_id = take(sentence, "sentid", int, where)
        own = f"{where}, sentence {sentence_id}"
        if sentence_id in sentences:
            raise InputError(f"{own}: second entry with this id")
        sentences.add(sentence_id)
        if (referred := sentence.get("imgid", id_)) != id_:
            raise InputError(f"{own}: field 'imgid' is {referred!r}, the image's is {id_}")
        captions.append(take(sentence, "raw", str, own).strip())
    ids = [sentence["sentid"] for sentence in listed]
    if entry.get("sentids", ids) != ids:
        raise InputError(f"{where}: field 'sentids' does not list its sentences")
    return CaptionedImage(id_, file, take(entry, "split", str, where), tuple(captions))


def select_splits(captions: CaptionSet, splits: Sequence[str]) -> CaptionSet:
    """The images of some splits; of all where none are named.

    Raises:
        InputError: a split has no image.
    """
    for split in splits:
        if split not in captions.splits:
            known = ", ".join(captions.splits)
            raise InputError(f"{captions.name}: no image of split {split!r}; there are {known}")
    kept = [image for image in captions.images if not splits or image.split in splits]
    return dataclasses.replace(captions, images=tuple(kept))
