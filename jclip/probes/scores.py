"""What a probe measures: scores of images by one model under one fit, filled part by part."""

import dataclasses
import functools
import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy.special
from jaxtyping import Bool, Float, Float32

from jclip.data.image_sets import ImageSet
from jclip.images.fits import SeenFit
from jclip.models import CLIP


class Sigmoid(NamedTuple):
    """What a sigmoid loss trained (SigLIP, Zhai et al. 2023): the scale of a cosine, and the bias.

    Attributes:
        scale: of the cosine, the exponential of the stored value.
        bias: added to the product.
    """

    scale: float
    bias: float

    def probabilities(self, scores: Float[np.ndarray, "*n"]) -> Float32[np.ndarray, "*n"]:
        """That image and text belong together, from scores, 100 x cosine."""
        logits = self.scale * np.asarray(scores, np.float64) / 100 + self.bias
        return scipy.special.expit(logits).astype(np.float32)


def sigmoid_of(clip: CLIP) -> Sigmoid | None:
    """That of a network; None where another loss trained it."""
    if clip.logit_bias is None:
        return None
    return Sigmoid(float(np.exp(float(clip.logit_scale[...]))), float(clip.logit_bias[...]))


@dataclasses.dataclass(kw_only=True)
class Scores:
    """Scores of N images of one set in K columns, by one model under one fit.

    Attributes:
        image_set: its name.
        model: its name.
        fit: how an image became a square; `supplied` where another program made it one.
        images: `[N]` names.
        columns: `[K]`, what each score is of: a prompt, a shift, a degree of blur.
        values: `[N, K]`, 100 x cosine; NaN where it is still to come. Written in place.
        sigmoid: makes probabilities of the scores, where the model's loss trained one.
    """

    image_set: str
    model: str
    fit: SeenFit
    images: tuple[str, ...]
    columns: tuple[str, ...]
    values: Float[np.ndarray, "n k"]
    sigmoid: Sigmoid | None = None

    @classmethod
    def empty[Own: "Scores"](
        cls: type[Own],
        opened: ImageSet,
        model: str,
        fit: SeenFit,
        columns: Sequence[str],
        **more: Any,
    ) -> Own:
        """A result still to be filled; `more` are the fields that a subclass adds."""
        return cls(
            image_set=opened.name,
            model=model,
            fit=fit,
            images=tuple(image.name for image in opened.images),
            columns=tuple(columns),
            values=np.full((len(opened.images), len(columns)), np.nan, np.float32),
            **more,
        )

    @property
    def label(self) -> tuple[str, str, str]:
        """Set, model and fit: what tells the results of one run apart."""
        return self.image_set, self.model, self.fit

    @property
    def named(self) -> dict[str, str | bool]:
        """What every row of a table says of this result: the label, by column."""
        return {"image_set": self.image_set, "model": self.model, "fit": self.fit}

    @property
    def done(self) -> Bool[np.ndarray, " n"]:
        """Which images have all their scores, `[N]`."""
        return np.isfinite(self.values).all(axis=1)

    def select[Own: "Scores"](self: Own, rows: Sequence[int]) -> Own:
        """The same for some of the images, by row: every field of N items is cut."""
        index = np.asarray(rows, int)
        changed: dict[str, Any] = {"values": self.values[index]}
        for name in self._per_image():
            own = getattr(self, name)
            changed[name] = (
                own[index] if isinstance(own, np.ndarray) else tuple(own[i] for i in rows)
            )
        return dataclasses.replace(self, **changed)

    def _per_image(self) -> tuple[str, ...]:
        """The fields that hold an item per image, besides `values`."""
        return ("images",)

    def clamped[Own: "Scores"](self: Own) -> Own:
        """The same with max(score, 0) for every score, of which there is no probability."""
        return dataclasses.replace(self, values=np.maximum(self.values, 0), sigmoid=None)

    def store(self, rows: Sequence[int], part: Any) -> None:
        """Take in what a probe's `score` made of some images, by row."""
        self.values[list(rows)] = part

    def to_table(self) -> pa.Table:
        """One row per image and column: image_set, model, fit, image, column, score, probability.

        The last of them is there where the model has a `sigmoid`.
        """
        return self._table({"column": self._tiled(self.columns)}, self.values)

    def fill(self, table: pa.Table) -> None:
        """Take in what `to_table` wrote of some images, by their names."""
        at = {name: k for k, name in enumerate(self.columns)}
        column = [at[name] for name in table["column"].to_pylist()]
        self.values[self._rows_of(table), column] = table["score"].to_numpy()

    def _table(self, own: dict[str, Any], scores: Float[np.ndarray, "n k"]) -> pa.Table:
        """A table of all images times some columns; `own` describes the columns."""
        n, k = scores.shape
        columns = {
            **{name: pa.repeat(value, n * k) for name, value in self.named.items()},
            "image": self._repeated(self.images, k),
            **own,
            "score": scores.ravel().astype(np.float32),
        }
        if self.sigmoid is not None:
            columns["probability"] = self.sigmoid.probabilities(scores.ravel())
        return pa.table(columns)

    def _repeated(self, values: Sequence[str], count: int) -> pa.Array:
        """A text per image, for each of its `count` rows."""
        return pa.array(values, pa.string()).take(np.repeat(np.arange(len(values)), count))

    def _tiled(self, values: Sequence[str]) -> pa.Array:
        """A text per column, for each image."""
        return pa.array(values, pa.string()).take(np.tile(np.arange(len(values)), len(self.images)))

    def _rows_of(self, table: pa.Table) -> np.ndarray:
        """The row of the image that each row of a table is about."""
        rows = {name: row for row, name in enumerate(self.images)}
        return np.array([rows[name] for name in table["image"].to_pylist()], int)


def score_table(results: Sequence[Scores]) -> pa.Table:
    """The tables of several results, one below the other; a column that one lacks is empty."""
    tables = [result.to_table() for result in results]
    return pa.concat_tables(tables, promote_options="default")


def with_probabilities(
    rows: Sequence[dict[str, Any]],
    results: Sequence[Scores],
    scores: Mapping[str, Sequence[Float[np.ndarray, "..."]]],
) -> list[dict[str, Any]]:
    """A table's rows, one of each result, with median probabilities where a model has them.

    Args:
        rows: one of each result.
        results: whose sigmoids are used.
        scores: which scores of every result stand behind each column that is added.
    """
    if not any(result.sigmoid for result in results):
        return list(rows)
    more = [
        {name: s and float(np.median(s.probabilities(own[row]))) for name, own in scores.items()}
        for row, s in enumerate(result.sigmoid for result in results)
    ]
    return [row | own for row, own in zip(rows, more, strict=True)]


def fill_scores(results: Sequence[Scores], tables: Iterable[pa.Table]) -> None:
    """Write the scores that earlier runs or other processes computed into results, in place."""
    for table in tables:
        for result in results:
            own = [pc.field(name) == value for name, value in result.named.items()]
            result.fill(table.filter(functools.reduce(operator.and_, own)))
