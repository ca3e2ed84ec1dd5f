"""Records of hard negatives: one or two pictures, texts, and which text is right for which picture.

One kind of record serves SugarCrepe, ARO, Winoground and their kin; `jclip.data.foil_files` and
`jclip.data.paired_files` read their layouts.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Int64

from jclip.data.boxes import padded_rows

Benchmark = Literal[
    "sugar_crepe",
    "sugar_crepe_pp",
    "aro_relation",
    "aro_attribution",
    "aro_order",
    "winoground",
    "colorswap",
    "half_truths",
]
RIGHT_FIRST = ((True, False),)
EACH_ITS_OWN = ((True, False), (False, True))


class Picture(NamedTuple):
    """A picture by its file below the folder of pictures, or a box `[x, y, w, h]` of it."""

    file: str
    box: tuple[float, float, float, float] | None = None


@dataclasses.dataclass(frozen=True)
class FoilRecord:
    """One record, as it stands in a file.

    Attributes:
        name: its id, or its number from 0 where it has none.
        pictures: one, or two.
        texts: right and wrong ones.
        right: `[I, T]`, whether a text is right for a picture.
        group: what it belongs to: a relation, a pair of attributes, a tag; may be empty.
    """

    name: str
    pictures: tuple[Picture, ...]
    texts: tuple[str, ...]
    right: tuple[tuple[bool, ...], ...] = RIGHT_FIRST
    group: str = ""


@dataclasses.dataclass(frozen=True)
class FoilFile:
    """The records of one file; `stored` reads the pictures that are in the file itself, by name."""

    benchmark: Benchmark
    name: str
    records: tuple[FoilRecord, ...]
    stored: dict[str, Callable[[], bytes]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class FoilSet:
    """N records of one set, as rows of the pictures and texts that all sets share.

    Attributes:
        name: of the set, such as `sugar_crepe/swap_obj`.
        benchmark: whose definitions of metrics apply.
        records: `[N]` names.
        groups: `[N]`, see `FoilRecord`.
        pictures: `[N, I]`, rows.
        texts: `[N, T]`, rows; -1 where a record has fewer than another.
        right: `[N, I, T]`.
        clusters: `[N]`; records of one picture have the same number, also where boxes differ.
    """

    name: str
    benchmark: Benchmark
    records: tuple[str, ...]
    groups: tuple[str, ...]
    pictures: Int64[np.ndarray, "n i"]
    texts: Int64[np.ndarray, "n t"]
    right: Bool[np.ndarray, "n i t"]
    clusters: Int64[np.ndarray, " n"]

    @property
    def two_by_two(self) -> bool:
        """Whether records have two pictures with a text each."""
        return self.pictures.shape[1] == 2

    @property
    def present(self) -> Bool[np.ndarray, "n t"]:
        """Which texts there are."""
        return self.texts >= 0

    def select(self, kept: Bool[np.ndarray, " n"]) -> "FoilSet":
        """Some of the records."""
        names = {
            field: tuple(np.array(getattr(self, field), object)[kept])
            for field in ("records", "groups")
        }
        rows = ("pictures", "texts", "right", "clusters")
        return dataclasses.replace(
            self, **names, **{field: getattr(self, field)[kept] for field in rows}
        )

    def unwinnable(self) -> Bool[np.ndarray, "n t"]:
        """Which texts are foils that equal a right text of their record, word for word, `[N, T]`.

        In two by two records both texts, where they are one.
        """
        if self.two_by_two:
            return np.repeat(self.texts[:, :1] == self.texts[:, 1:], 2, axis=1)
        right = self.right[:, 0]
        same = self.texts[:, :, None] == self.texts[:, None, :]
        return (same & right[:, None, :]).any(axis=2) & ~right & self.present

    def winnable(self) -> "FoilSet":
        """The set without such foils, and without the records that have no other."""
        dropped = self.unwinnable()
        texts = np.where(dropped, -1, self.texts)
        left = (~self.right.any(axis=1) & (texts >= 0)).any(axis=1)
        kept = ~dropped.any(axis=1) if self.two_by_two else left
        return dataclasses.replace(self, texts=texts).select(kept)


def foil_set(
    file: FoilFile,
    picture_rows: Sequence[Sequence[int]],
    clusters: Sequence[int],
    texts: dict[str, int],
) -> FoilSet:
    """The records of a file as rows.

    Args:
        file: of which all records have as many pictures.
        picture_rows: the rows of each record's pictures.
        clusters: a number for the picture of each record.
        texts: the row of each text that is known; those of the file are added.
    """
    rows = [[texts.setdefault(text, len(texts)) for text in one.texts] for one in file.records]
    most = max(map(len, rows))
    right = np.zeros((len(rows), len(file.records[0].pictures), most), bool)
    for own, record in zip(right, file.records, strict=True):
        own[:, : len(record.texts)] = record.right
    return FoilSet(
        name=file.name,
        benchmark=file.benchmark,
        records=tuple(record.name for record in file.records),
        groups=tuple(record.group for record in file.records),
        pictures=np.array(picture_rows, np.int64),
        texts=padded_rows(rows),
        right=right,
        clusters=np.array(clusters, np.int64),
    )
