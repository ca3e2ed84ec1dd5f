"""Zero-shot classification: which class's prompts does an image score highest with?"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float32, Int64

from jclip.models.unit_norm import unit_rows
from jclip.statistics.intervals import check_confidence, clopper_pearson
from jclip.statistics.mcnemar import mcnemar

# A block of scores of a thousand classes takes 4 MB, which a core's cache holds.
_BLOCK = 1024
_RESAMPLES = 2000


@dataclasses.dataclass(frozen=True)
class Classified:
    """N images classified by one model.

    Attributes:
        model: its name, and how it was loaded.
        classes: `[C]` names.
        labels: `[N]`, the right class.
        predicted: `[N]`, the class of the highest score, the first of several.
        ranks: `[N]`, of the right class, 1 for the best; ties count against it.
    """

    model: str
    classes: tuple[str, ...]
    labels: Int64[np.ndarray, " n"]
    predicted: Int64[np.ndarray, " n"]
    ranks: Int64[np.ndarray, " n"]

    def within(self, k: int) -> Bool[np.ndarray, " n"]:
        """Whether the right class is among the first k."""
        return self.ranks <= k


def class_embeddings(texts: Float32[np.ndarray, "m e"], classes: int) -> Float32[np.ndarray, "c e"]:
    """One embedding of length 1 for each class: the mean of those of its prompts.

    Radford et al. 2021, prompt ensembling.

    Args:
        texts: of every class in every template, class after class; of length 1.
        classes: how many.
    """
    means = texts.reshape(classes, -1, texts.shape[1]).mean(axis=1)
    return means / np.linalg.norm(means, axis=1, keepdims=True)


def classify(
    images: Float32[np.ndarray, "n e"],
    texts: Float32[np.ndarray, "m e"],
    labels: Int64[np.ndarray, " n"],
    classes: Sequence[str],
    model: str,
) -> Classified:
    """Classify images by the cosine with the mean prompt of each class.

    Args:
        images: embeddings, of any length.
        texts: of every class in every template, class after class; of any length.
        labels: the right class of each image.
        classes: names.
        model: what to call the model.
    """
    means = class_embeddings(unit_rows(texts), len(classes))
    predicted, ranks = np.empty((2, len(images)), np.int64)
    for start in range(0, len(images), _BLOCK):
        own = slice(start, start + _BLOCK)
        scores = unit_rows(images[own]) @ means.T
        right = np.take_along_axis(scores, labels[own, None], axis=1)
        predicted[own] = scores.argmax(axis=1)
        ranks[own] = np.sum(scores >= right, axis=1)
    return Classified(model, tuple(classes), labels, predicted, ranks)


def balanced_share(
    right: Bool[np.ndarray, " n"],
    labels: Int64[np.ndarray, " n"],
    confidence: float = 0.95,
    seed: int = 0,
) -> tuple[float, float, float]:
    """The mean over classes of the share of right images, and its percentile bootstrap.

    Images are resampled within their class, 2000 times, which is a binomial draw for each class.

    Raises:
        InputError: confidence outside (0, 1).
    """
    check_confidence(confidence)
    _, of = np.unique(labels, return_inverse=True)
    counts = np.bincount(of)
    shares = np.bincount(of, weights=right) / counts
    drawn = np.random.default_rng(seed).binomial(counts, shares, size=(_RESAMPLES, len(counts)))
    tail = (1 - confidence) / 2
    low, high = np.quantile((drawn / counts).mean(axis=1), (tail, 1 - tail))
    return float(shares.mean()), float(low), float(high)


def accuracy_table(results: Sequence[Classified], seed: int = 0) -> pa.Table:
    """A row per model and k = 1, 5: shares in per cent with intervals, of images and of classes.

    5 is left out where there are no more than five classes.
    """
    rows = []
    for result in results:
        for k in (1, 5):
            if k >= len(result.classes):
                continue
            right = result.within(k)
            low, high = clopper_pearson(np.array(right.sum()), len(right))
            balanced = balanced_share(right, result.labels, seed=seed)
            names = ("balanced", "balanced_low", "balanced_high")
            rows.append(
                {
                    "model": result.model,
                    "top": k,
                    "images": len(right),
                    "classes": len(result.classes),
                    "right": 100 * float(right.mean()),
                    "low": 100 * float(low),
                    "high": 100 * float(high),
                    **{name: 100 * v for name, v in zip(names, balanced, strict=True)},
                    "chance": 100 * k / len(result.classes),
                }
            )
    return pa.Table.from_pylist(rows)


def class_table(results: Sequence[Classified]) -> pa.Table:
    """A row per model and class: its images, the share that is right, and what it is taken for.

    `taken_for` is the wrong class that most of its images score highest with, `taken` how many;
    null where all are right.
    """
    rows = []
    for result in results:
        for label, name in enumerate(result.classes):
            own = result.labels == label
            wrong = np.bincount(
                result.predicted[own & (result.predicted != label)], minlength=len(result.classes)
            )
            most, right = int(wrong.argmax()), result.within(1)[own]
            low, high = clopper_pearson(np.array(right.sum()), len(right))
            rows.append(
                {
                    "model": result.model,
                    "class": name,
                    "images": int(own.sum()),
                    "right": 100 * float(right.mean()),
                    "low": 100 * float(low),
                    "high": 100 * float(high),
                    "taken_for": result.classes[most] if wrong[most] else None,
                    "taken": int(wrong[most]) if wrong[most] else None,
                }
            )
    return pa.Table.from_pylist(rows)


def confusion_table(result: Classified) -> pa.Table:
    """A row per pair of classes that are mistaken for each other, the most frequent first."""
    wrong = result.predicted != result.labels
    pairs = np.stack([result.labels[wrong], result.predicted[wrong]], axis=1)
    found, counts = np.unique(pairs, axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    sizes = np.bincount(result.labels, minlength=len(result.classes))
    return pa.table(
        {
            "class": pa.array([result.classes[found[i, 0]] for i in order], pa.string()),
            "taken_for": pa.array([result.classes[found[i, 1]] for i in order], pa.string()),
            "images": pa.array(counts[order], pa.int64()),
            "share": pa.array(100 * counts[order] / sizes[found[order, 0]], pa.float64()),
        }
    )


def loading_table(right: Classified, others: Sequence[Classified]) -> pa.Table:
    """A row per other way to load a model: its top-1 beside the right one's, and McNemar's test.

    `difference` is the right one's share minus the other's, in points.
    """
    rows = []
    for other in others:
        tested = mcnemar(right.within(1), other.within(1))
        rows.append(
            {
                "model": right.model,
                "loaded": other.model.removeprefix(right.model).strip(" ,"),
                "right": 100 * float(right.within(1).mean()),
                "other": 100 * float(other.within(1).mean()),
                "difference": 100 * tested.difference,
                "only_first": tested.only_first,
                "only_second": tested.only_second,
                "p": tested.p_exact,
            }
        )
    names = ("right", "other", "difference", "p")
    texts = [(name, pa.string()) for name in ("model", "loaded")]
    counts = [(name, pa.int64()) for name in ("only_first", "only_second")]
    schema = pa.schema([*texts, *counts, *[(name, pa.float64()) for name in names]])
    return pa.Table.from_pylist(rows, schema=schema)


def image_table(result: Classified, images: Sequence[str]) -> pa.Table:
    """A row per image: its class, the one it was taken for, and the rank of its own."""
    names = np.array(result.classes, object)
    return pa.table(
        {
            "model": pa.repeat(result.model, len(images)),
            "image": list(images),
            "class": names[result.labels],
            "predicted": names[result.predicted],
            "rank": result.ranks,
        }
    )
