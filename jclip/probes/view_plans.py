"""What a probe of captioned images needs embedded, and its scores from what was."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8

from jclip.data.image_sets import ImageSet
from jclip.data.images import ImageFile, decode
from jclip.data.supplied_rows import Embedded, Scored
from jclip.data.view_plan import Pictures, Plan, View, make_plan, view_file
from jclip.probes.probe import CaptionProbe
from jclip.probes.scores import Scores
from jclip.probes.shift import MIRRORED, ShiftProbe


def plan_captions(sets: Sequence[ImageSet], probe: CaptionProbe) -> Plan:
    """Every view of every image of some sets, and every prompt; nothing is decoded.

    Raises:
        InputError: the probe does not say what its views are as pictures.
    """
    views: list[View] = []
    for opened in sets:
        labels = probe.view_labels(opened)
        for image in opened.images:
            for label in labels:
                file = view_file(len(views), image.name, label)
                shift = _shift(probe, image, label)
                views.append(View(file, opened.name, image.name, label, shift))
    texts = [text for opened in sets for own in probe.prompts(opened) for text in own if text]
    return make_plan(views, texts, [*(opened.digest for opened in sets), *probe.drawn])


def caption_pictures(sets: Sequence[ImageSet], probe: CaptionProbe) -> list[Pictures]:
    """The pixels of a plan's views: an image is decoded once for all of its own."""

    def make(image: ImageFile, labels: Sequence[str]) -> list[UInt8[np.ndarray, "h w 3"]]:
        views = probe.picture_views(decode(image))
        return [views[label] for label in labels]

    first, pictures = 0, []
    for opened in sets:
        labels = probe.view_labels(opened)
        for image in opened.images:
            pictures.append((first, functools.partial(make, image, labels)))
            first += len(labels)
    return pictures


def fill_supplied(
    results: Sequence[Scores],
    supplied: Embedded | Scored,
    plan: Plan,
    sets: Sequence[ImageSet],
    probe: CaptionProbe[Any],
) -> None:
    """Fill the results of a supplied model, one of every set in the order of these.

    Raises:
        InputError: a score is missing.
    """
    at = {text: row for row, text in enumerate(plan.texts)}
    first = 0
    for result, opened in zip(results, sets, strict=True):
        # What has no caption is not scored.
        texts = [[at[text] if text else -1 for text in own] for own in probe.prompts(opened)]
        shape = len(opened.images), len(probe.view_labels(opened))
        views = first + np.arange(np.prod(shape), dtype=np.int64).reshape(shape)
        probe.fill_supplied(result, opened, supplied, views, np.array(texts, np.int64))
        first += views.size


def _shift(probe: CaptionProbe, image: ImageFile, label: str) -> int | None:
    """Of a view that is a panorama turned by a shift, which."""
    if not isinstance(probe, ShiftProbe) or label == MIRRORED:
        return None
    return probe.shifts[image.width][int(label)]
