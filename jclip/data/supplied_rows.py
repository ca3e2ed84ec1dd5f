"""Supplied embeddings, or scores, in the order of a plan: each view and text once, and no other."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64

from jclip.data.file_names import KnownFiles
from jclip.data.supplied import Supplied
from jclip.data.supplied_files import Tower
from jclip.data.supplied_index import Index
from jclip.data.view_plan import Plan, View
from jclip.errors import InputError
from jclip.models.unit_norm import unit_rows

# Scores at once, in numbers that are multiplied.
_BLOCK = 1 << 22
# Equal texts of other batches may differ by a few units in the last place of 16 bits.
_SAME_TEXT = 1e-2


@dataclasses.dataclass(frozen=True)
class Embedded:
    """Embeddings in a plan's order, views `[V, D]` and texts `[T, D]`, as they were supplied."""

    views: Float32[np.ndarray, "v d"]
    texts: Float32[np.ndarray, "t d"]

    @functools.cached_property
    def unit(self) -> tuple[Float32[np.ndarray, "v d"], Float32[np.ndarray, "t d"]]:
        """The same of length 1."""
        return unit_rows(self.views), unit_rows(self.texts)

    def scores(
        self, views: Int64[np.ndarray, "n v"], texts: Int64[np.ndarray, "n k"]
    ) -> Float32[np.ndarray, "n v*k"]:
        """The scores of N images, each in V views against K texts of its own, views first.

        100 x cosine. Arguments are rows of the plan.
        """
        n, v, k = len(views), views.shape[1], texts.shape[1]
        seen, said = self.unit
        found = np.empty((n, v, k), np.float32)
        block = max(1, _BLOCK // (v * k * self.views.shape[1]))
        for start in range(0, n, block):
            own = slice(start, start + block)
            # Summed in one order for every text, so that equal texts tie.
            products = seen[views[own], None] * said[texts[own]][:, None]
            found[own] = 100 * products.sum(axis=-1)
        return found.reshape(n, v * k)


@dataclasses.dataclass(frozen=True)
class Scored:
    """Scores as they were supplied, by the plan's rows of view and text."""

    plan: Plan
    name: str
    values: dict[tuple[int, int], float]

    def scores(
        self, views: Int64[np.ndarray, "n v"], texts: Int64[np.ndarray, "n k"]
    ) -> Float32[np.ndarray, "n v*k"]:
        """As of `Embedded`.

        Raises:
            InputError: a score is missing.
        """
        n, v, k = len(views), views.shape[1], texts.shape[1]
        pairs = [
            pair
            for seen, said in zip(views.tolist(), texts.tolist(), strict=True)
            for view in seen
            for pair in ((view, text) for text in said)
        ]
        absent = [pair for pair in pairs if pair not in self.values]
        if absent:
            view, text = absent[0]
            raise InputError(
                f"{self.name}: no score of {self.plan.views[view].file} with "
                f"{self.plan.texts[text]!r:.80}{_more(len(absent))}"
            )
        found = np.array([self.values[pair] for pair in pairs], np.float32)
        return found.reshape(n, v * k)


def match(supplied: Supplied, plan: Plan) -> Embedded | Scored:
    """What is supplied, arranged as a plan has it.

    Raises:
        InputError: naming the file and the row: it is of another plan, a view or text is missing or
            there twice, or a name is outside of the plan.
    """
    for file, digest in supplied.planned.items():
        if digest != plan.digest:
            raise InputError(
                f"{file}: of another plan ({digest:.12}, and this one is {plan.digest:.12}): other "
                "images, texts or options; export the views again"
            )
    views = _Views(plan)
    if supplied.scores is not None:
        return _scored(supplied.scores, plan, views)
    assert supplied.images is not None and supplied.texts is not None
    seen = _view_rows(supplied.images.index, views)
    said = _text_rows(supplied.texts, plan.texts)
    return Embedded(supplied.images.values[seen], supplied.texts.values[said])


class _Views:
    """The views of a plan, by their own files or by the images that they are of."""

    def __init__(self, plan: Plan):
        self.views = plan.views
        self._exact = {view.file: [row] for row, view in enumerate(plan.views)}
        by_image: dict[str, list[int]] = {}
        for row, view in enumerate(plan.views):
            by_image.setdefault(view.image, []).append(row)
        self._names, self._of_image = [*by_image], [*by_image.values()]

    @functools.cached_property
    def _files(self) -> KnownFiles:
        return KnownFiles([*self._exact], [""] * len(self._exact))

    @functools.cached_property
    def _images(self) -> KnownFiles:
        return KnownFiles(self._names, [""] * len(self._names))

    def find(self, index: Index, number: int) -> int:
        """The row of the plan that a row of an index is of.

        Raises:
            InputError: none, or it cannot be told which.
        """
        row, where = index.rows[number], index.where(number)
        name = row["file"]
        found = self._exact.get(name) or self._files.find(name)
        if not found:
            every = [view for image in self._images.find(name) for view in self._of_image[image]]
            found = [view for view in every if _fits(row, self.views[view])]
            if every and not found:
                raise InputError(f"{where}: {name} has no view {_said(row)} in the plan")
        if not found:
            raise InputError(f"{where}: {name:.200} is no view of the plan")
        if len(found) > 1:
            options = ", ".join(self.views[view].file for view in found[:3])
            raise InputError(
                f"{where}: {name} may be {options}; name the view's file, or give shift_index, box "
                "or image_set"
            )
        view = self.views[found[0]]
        if not _fits(row, view):
            raise InputError(f"{where}: {_said(row)} where {view.file} is {_meant(view)}")
        return found[0]


def _fits(row: dict[str, Any], view: View) -> bool:
    """Whether what a row says of its view is so; it may say nothing."""
    own = _meant(view)
    return all(_same(row[name], own.get(name)) for name in _given(row))


def _given(row: dict[str, Any]) -> list[str]:
    columns = ("image_set", "shift_index", "shift", "box")
    return [name for name in columns if row.get(name) not in (None, "")]


def _said(row: dict[str, Any]) -> str:
    return ", ".join(f"{name} {row[name]}" for name in _given(row)) or "of that name"


def _meant(view: View) -> dict[str, Any]:
    own = view._asdict()
    return {name: own[name] for name in ("image_set", "shift_index", "shift", "box")}


def _same(said: Any, meant: Any) -> bool:
    """Whether two values are one, of which the first may have been written in a file."""
    if isinstance(meant, tuple):
        try:
            sides = said if isinstance(said, list) else str(said).replace(",", " ").split()
            return len(sides) == 4 and np.allclose([float(side) for side in sides], meant, 1e-4)
        except (TypeError, ValueError):
            return False
    try:
        return float(said) == float(meant)
    except (TypeError, ValueError):
        return str(said) == str(meant)


def _view_rows(index: Index, views: _Views) -> Int64[np.ndarray, " v"]:
    """The row of an index that each view of the plan is."""
    index.texts_of("file")
    rows = np.full(len(views.views), -1, np.int64)
    for number in range(len(index.rows)):
        view = views.find(index, number)
        if rows[view] >= 0:
            raise InputError(
                f"{index.where(number)}: {views.views[view].file} is there twice, in row "
                f"{rows[view]} too"
            )
        rows[view] = number
    _require_all(index, rows, [view.file for view in views.views])
    return rows


def _text_rows(tower: Tower, texts: Sequence[str]) -> Int64[np.ndarray, " t"]:
    """The row that each text of the plan is; a text may be there again with the same embedding."""
    index, at = tower.index, {text: row for row, text in enumerate(texts)}
    rows = np.full(len(texts), -1, np.int64)
    for number, text in enumerate(index.texts_of("text")):
        if text not in at:
            raise InputError(f"{index.where(number)}: {text!r:.120} is no text of the plan")
        first = rows[at[text]]
        if first < 0:
            rows[at[text]] = number
        elif np.abs(np.subtract(*unit_rows(tower.values[[first, number]]))).max() > _SAME_TEXT:
            raise InputError(
                f"{index.where(number)}: {text!r:.120} is there twice, in row {first} with another "
                "embedding"
            )
    _require_all(index, rows, [repr(text)[:120] for text in texts])
    return rows


def _scored(index: Index, plan: Plan, views: _Views) -> Scored:
    at = {text: row for row, text in enumerate(plan.texts)}
    values: dict[tuple[int, int], float] = {}
    index.texts_of("file")
    for number, text in enumerate(index.texts_of("text")):
        where = index.where(number)
        if text not in at:
            raise InputError(f"{where}: {text!r:.120} is no text of the plan")
        try:
            score = float(index.rows[number]["score"])
        except (KeyError, TypeError, ValueError):
            raise InputError(f"{where}: score is no number") from None
        if not np.isfinite(score):
            raise InputError(f"{where}: score is not finite")
        pair = views.find(index, number), at[text]
        if pair in values:
            raise InputError(
                f"{where}: {views.views[pair[0]].file} with {text!r:.80} is there twice"
            )
        values[pair] = score
    return Scored(plan, index.name, values)


def _require_all(index: Index, rows: Int64[np.ndarray, " n"], names: Sequence[str]) -> None:
    if len(missing := np.flatnonzero(rows < 0)):
        raise InputError(f"{index.name}: no row of {names[missing[0]]}{_more(len(missing))}")


def _more(count: int) -> str:
    return f" (and {count - 1} more)" if count > 1 else ""
