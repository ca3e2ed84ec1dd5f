"""What a probe of captioned images needs embedded, and its scores from what was."""

import functools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int64, UInt8

from jclip.data.image_sets import ImageSet
from jclip.data.images import ImageFile, decode
from jclip.data.supplied_rows import Embedded, Scored
from jclip.data.view_plan import Pictures, Plan, View, make_plan, view_file
from jclip.errors import InputError
from jclip.probes.probe import CaptionProbe
from jclip.probes.shift import MIRRORED, ShiftProbe


def plan_captions(sets: Sequence[ImageSet], probe: CaptionProbe) -> Plan:
    """Every view of every image of some sets, and every prompt; nothing is decoded.

    Raises:
        InputError: the probe does not say what its views are as pictures.
    """
    if probe.orbit > 1:
        raise InputError("orbit: means over it are not made of views that are exported", "orbit")
    if probe.views > 1 and type(probe).picture_views is CaptionProbe.picture_views:
        raise InputError(
            f"{type(probe).__name__}: its views are no pictures that could be exported"
        )
    views: list[View] = []
    for opened in sets:
        for image in opened.images:
            shifts = _shifts(probe, image)
            for label, shift in zip(_labels(probe), shifts, strict=True):
                file = view_file(len(views), image.name, label)
                views.append(View(file, opened.name, image.name, label, shift))
    texts = [text for opened in sets for own in probe.prompts(opened) for text in own]
    return make_plan(views, texts, [opened.digest for opened in sets])


def caption_pictures(sets: Sequence[ImageSet], probe: CaptionProbe) -> list[Pictures]:
    """The pixels of a plan's views: an image is decoded once for all of its own."""
    images = [image for opened in sets for image in opened.images]

    def make(image: ImageFile) -> list[UInt8[np.ndarray, "h w 3"]]:
        return probe.picture_views(decode(image))

    return [(row * probe.views, functools.partial(make, image)) for row, image in enumerate(images)]


def supplied_values(
    embedded: Embedded | Scored, plan: Plan, sets: Sequence[ImageSet], probe: CaptionProbe
) -> dict[str, Float32[np.ndarray, "n k"]]:
    """The scores of every set, by its name, in the columns of the probe's results.

    Raises:
        InputError: a score is missing.
    """
    at = {text: row for row, text in enumerate(plan.texts)}
    first, found = 0, {}
    for opened in sets:
        texts = [[at[text] for text in own] for own in probe.prompts(opened)]
        views = _rows(first, len(opened.images), probe.views)
        found[opened.name] = embedded.scores(views, np.array(texts, np.int64))
        first += views.size
    return found


def _rows(first: int, images: int, views: int) -> Int64[np.ndarray, "n v"]:
    return first + np.arange(images * views, dtype=np.int64).reshape(images, views)


def _labels(probe: CaptionProbe) -> tuple[str, ...]:
    """What tells the views of an image apart; nothing where there is one."""
    return probe.columns if probe.views > 1 else ("",)


def _shifts(probe: CaptionProbe, image: ImageFile) -> list[int | None]:
    if not isinstance(probe, ShiftProbe):
        return [None] * probe.views
    own = probe.shifts[image.width]
    return [own[int(label)] if label != MIRRORED else None for label in probe.columns]
