"""Scores that no network gave, for tests of tables, statistics and pages."""

import dataclasses

import numpy as np

from jclip.probes.keyword import KeywordScores
from jclip.probes.shift import MIRRORED, ShiftScores


def shift_scores(scores, mirrored=None, **fields):
    """Scores `[N, S]` at shifts of panoramas, and `[N]` of flipped ones, where they are given."""
    columns, values = values_of(scores, mirrored)
    return ShiftScores(columns=columns, values=values, **fields)


def values_of(scores, mirrored=None):
    """Columns and values of the scores at shifts, the flipped panorama last where it is given."""
    columns = tuple(map(str, range(np.shape(scores)[1])))
    if mirrored is None:
        return columns, np.array(scores)
    return (*columns, MIRRORED), np.column_stack([scores, mirrored])


def with_scores(result, scores, **fields):
    """A result with other scores at its shifts and none of flipped panoramas."""
    columns, values = values_of(scores)
    return dataclasses.replace(result, columns=columns, values=values, **fields)


def noisy_shift_scores(
    model="ViT-B-32/openai", fit="crop", shifts=8, images=12, seed=0, image_set="samples"
):
    """Of 2:1 panoramas at equal shifts, with changes of about 1.5 and of 0.5 by a flip."""
    rng = np.random.default_rng([seed, *map(ord, model + fit)])
    change = rng.normal(0, 1.5, (images, shifts))
    change[:, 0] = 0
    width = max(512, shifts)
    unshifted = rng.normal(25, 2, (images, 1))
    return shift_scores(
        unshifted + change,
        unshifted[:, 0] + rng.normal(0, 0.5, images),
        image_set=image_set,
        model=model,
        fit=fit,
        images=tuple(f"panorama-{i}.jpg" for i in range(images)),
        captions=tuple(f"scene {i}" for i in range(images)),
        heights=np.full(images, width // 2),
        widths=np.full(images, width),
        shifts=np.tile(np.arange(shifts) * width // shifts, (images, 1)),
    )


def keyword_scores(identifier_scores, generic_scores, **fields):
    """Scores `[N, V]` and `[N, U]` with identifiers and with generic words."""
    return KeywordScores(
        columns=(*fields["identifiers"], *fields["generics"]),
        values=np.hstack([identifier_scores, generic_scores]),
        **fields,
    )
