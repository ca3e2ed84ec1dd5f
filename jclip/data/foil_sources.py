"""Where sets of hard negatives come from: files of the benchmarks, and the pictures that they name.

A picture that several sets show is one, as is a text.
"""

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from jclip.checkpoints import ImageConfig
from jclip.data.feature_inputs import images_digest, square_part
from jclip.data.file_names import FilesBelow
from jclip.data.foil_files import (
    SUGAR_CREPE,
    SUGAR_CREPE_PP,
    read_aro,
    read_aro_order,
    read_half_truths,
    read_sugar_crepe,
    read_sugar_crepe_pp,
)
from jclip.data.foils import FoilFile, FoilSet, Picture, foil_set
from jclip.data.images import (
    DEFAULT_PIXEL_LIMIT,
    SUFFIXES,
    ImageFile,
    decode,
    inspect_encoded,
    inspect_images,
)
from jclip.data.paired_files import read_colorswap, read_winoground
from jclip.data.view_plan import Plan, View, make_plan, view_file
from jclip.errors import InputError
from jclip.files.digests import sha256
from jclip.files.local import require_local
from jclip.images.boxes import crop_box
from jclip.images.fits import SeenFit

JOINT = " and "
"""What stands between a half-truth's right text and its wrong detail."""
# Pictures of one file follow each other, and a few threads decode at a time.
_DECODED_AT_ONCE = 16


class _Layout(NamedTuple):
    """How a benchmark is read, and which files of a folder are its own (patterns, the best first).

    Of files that the first pattern finds, all are read; those of another only where none is.
    """

    read: Callable[[Path], FoilFile]
    patterns: tuple[tuple[str, ...], ...]


LAYOUTS: Mapping[str, _Layout] = {
    "sugar_crepe": _Layout(read_sugar_crepe, (tuple(f"{name}.json" for name in SUGAR_CREPE),)),
    "sugar_crepe_pp": _Layout(
        read_sugar_crepe_pp, (tuple(f"{name}.json" for name in SUGAR_CREPE_PP),)
    ),
    "aro": _Layout(
        lambda path: (read_aro_order if path.suffix == ".jsonl" else read_aro)(path),
        (("visual_genome_relation.json", "visual_genome_attribution.json", "*order*.jsonl"),),
    ),
    "winoground": _Layout(read_winoground, (("*.parquet",), ("examples.jsonl",))),
    "colorswap": _Layout(read_colorswap, (("test.json", "train.json"),)),
}
KINDS = (*LAYOUTS, "half_truths")


class FoundPicture(NamedTuple):
    """A picture that was found and inspected, or a box `[x, y, w, h]` of it."""

    image: ImageFile
    box: tuple[float, float, float, float] | None

    def square(
        self, config: ImageConfig | None, fit: SeenFit, decoded: Callable = decode
    ) -> ImageFile:
        """The picture as a square for a tower, fitted when it is decoded; see `square_part`.

        Raises:
            InputError: the box leaves nothing of the picture, or it cannot be fitted.
        """
        image, cut, name = self.image, self.image.whole, self.image.name
        if self.box is not None:
            name = f"{name} {list(self.box)}"
            try:
                cut = crop_box(self.box, 1.0, image.width, image.height)
            except InputError as error:
                raise InputError(f"{image.name}: {error}") from None
        return square_part(name, image, cut, config, fit, decoded)


@dataclasses.dataclass(frozen=True)
class Foils:
    """Sets of hard negatives with their distinct pictures and texts; nothing is decoded yet.

    `digests` are the SHA-256 of every set's file, and of all pictures.
    """

    sets: tuple[FoilSet, ...]
    pictures: tuple[FoundPicture, ...]
    texts: tuple[str, ...]
    digests: Mapping[str, str]

    def squares(self, config: ImageConfig | None, fit: SeenFit) -> list[ImageFile]:
        """Every picture as a square for a tower; a file is decoded once for boxes in a row.

        Without a config as it is, for an encoder elsewhere.
        """
        decoded = functools.lru_cache(_DECODED_AT_ONCE)(decode)
        return [picture.square(config, fit, decoded) for picture in self.pictures]

    def plan(self) -> Plan:
        """Every picture and text, for an encoder elsewhere."""
        views = [
            View(view_file(row, own.image.name), "", own.image.name, box=own.box)
            for row, own in enumerate(self.pictures)
        ]
        return make_plan(views, self.texts, [*self.digests.values()])


def open_foils(
    sources: Sequence[str],
    images: Mapping[str, Path],
    joint: str = JOINT,
    pixel_limit: int = DEFAULT_PIXEL_LIMIT,
) -> Foils:
    """Read sets of hard negatives and find their pictures; all is checked, nothing is decoded.

    Args:
        sources: `KIND:PATH`, a kind of `KINDS` and its folder or one of its files.
        images: folders of pictures by kind; under "" that of all others. Without one, pictures lie
            beside the file.
        joint: of half-truths, see `read_half_truths`.
        pixel_limit: of one picture, in pixels, checked from its header.

    Raises:
        InputError: naming file, record and field, or the picture that is missing; a kind is not
            known, a folder holds none of its files, or two sets have one name.
    """
    if unknown := [kind for kind in images if kind not in ("", *KINDS)]:
        raise InputError(f"{unknown[0]}: none of {', '.join(KINDS)}", argument="images")
    read: list[tuple[FoilFile, str, Path]] = []
    for source in sources:
        kind, path = _parse(source)
        read += [(file, kind, own) for file, own in _read(kind, path, joint)]
    names = [file.name for file, _, _ in read]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise InputError(f"{repeated[0]}: two files hold this set", argument="sets")
    finder = _Finder(pixel_limit)
    found = [
        finder.find(file, Path(images.get(kind) or images.get("") or path.parent))
        for file, kind, path in read
    ]
    return _joined(read, found)


def _joined(
    read: Sequence[tuple[FoilFile, str, Path]],
    found: Sequence[Sequence[Sequence[FoundPicture]]],
) -> Foils:
    """Records and their pictures as rows; boxes of a file follow each other."""
    every = dict.fromkeys(one for pictures in found for own in pictures for one in own)
    numbers = {image: i for i, image in enumerate(dict.fromkeys(one.image for one in every))}
    ordered = sorted(every, key=lambda one: numbers[one.image])
    row = {one: i for i, one in enumerate(ordered)}
    texts: dict[str, int] = {}
    sets = tuple(
        foil_set(
            file,
            [[row[one] for one in own] for own in pictures],
            [numbers[own[0].image] for own in pictures],
            texts,
        )
        for (file, _, _), pictures in zip(read, found, strict=True)
    )
    digests = {file.name: sha256(path) for file, _, path in read}
    digests["pictures"] = images_digest(
        {f"{i} {image.name}": image for image, i in numbers.items()}
    )
    return Foils(sets, tuple(ordered), tuple(texts), digests)


def _parse(source: str) -> tuple[str, Path]:
    kind, colon, path = source.partition(":")
    require_local(path if kind in KINDS else source)
    if kind not in KINDS or not colon or not path:
        raise InputError(
            f"{source}: not of the form KIND:PATH, where KIND is one of {', '.join(KINDS)}",
            argument="sets",
        )
    return kind, Path(os.path.expanduser(path))


def _read(kind: str, path: Path, joint: str) -> list[tuple[FoilFile, Path]]:
    """The files of one source, read."""
    if not path.exists():
        raise InputError(f"{path}: no such file or folder", argument="sets")
    if kind == "half_truths":
        if path.is_dir():
            raise InputError(f"{path}: half_truths is one file of samples", argument="sets")
        return [(file, path) for file in read_half_truths(path, joint)]
    layout = LAYOUTS[kind]
    if not path.is_dir():
        return [(layout.read(path), path)]
    for patterns in layout.patterns:
        for folder in (path, path / "data"):
            own = [file for pattern in patterns for file in sorted(folder.glob(pattern))]
            if own:
                return [(layout.read(file), file) for file in own]
    wanted = ", ".join(pattern for patterns in layout.patterns for pattern in patterns)
    raise InputError(f"{path}: no file of {kind} ({wanted})", argument="sets")


class _Finder:
    """Finds pictures, each inspected once."""

    def __init__(self, pixel_limit: int):
        self._limit = pixel_limit
        self._below: dict[Path, FilesBelow] = {}
        self._known: dict[str, ImageFile] = {}

    def find(self, file: FoilFile, folder: Path) -> list[list[FoundPicture]]:
        """The pictures of every record."""
        found = []
        for record in file.records:
            where = f"{file.name}, record {record.name}"
            own = [self._one(file, picture, folder, where) for picture in record.pictures]
            found.append(own)
        return found

    def _one(self, file: FoilFile, picture: Picture, folder: Path, where: str) -> FoundPicture:
        if read := file.stored.get(picture.file):
            if picture.file not in self._known:
                self._known[picture.file] = inspect_encoded(picture.file, read, self._limit)
            return FoundPicture(self._known[picture.file], picture.box)
        key = f"{folder}\0{picture.file}"
        if key not in self._known:
            path = self._path(folder, picture.file)
            if path is None:
                raise InputError(
                    f"{where}: picture {picture.file!r} is not below {folder}", argument="images"
                )
            # Two sets may reach a file by different ways, and it is still one picture.
            real = os.path.realpath(path)
            if real not in self._known:
                self._known[real] = inspect_images([path], self._limit)[0]
            self._known[key] = self._known[real]
        return FoundPicture(self._known[key], picture.box)

    def _path(self, folder: Path, name: str) -> Path | None:
        below = self._below.setdefault(folder, FilesBelow(folder))
        # Winoground's list of examples names its pictures without a suffix.
        endings = ("",) if Path(name).suffix else ("", *sorted(SUFFIXES))
        paths = (below.find(name + ending) for ending in endings)
        return next((path for path in paths if os.path.isfile(path)), None)
