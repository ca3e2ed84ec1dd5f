"""The panoramas that a shift report shows: those whose scores move least and most."""

import numpy as np
from PIL import Image

from jclip.checkpoints import ImageConfig
from jclip.data.images import ImageFile, decode
from jclip.images import Fit, plan_views, shift_views
from jclip.probes.scores import ShiftScores
from jclip.report.examples import PanoramaExample
from jclip.statistics.stability import order_by_stability

# Of a thousand shifts nobody looks at every view; the curve needs no more points than this either.
_MOST_VIEWS = 64
_THUMBNAIL = (768, 384)


def extreme_examples(
    result: ShiftScores, files: dict[str, ImageFile], config: ImageConfig, fit: Fit
) -> list[PanoramaExample]:
    """The most and the least stable panorama of a result, with what the model saw of them.

    Args:
        result: scores of one model under one fit; fewer than two panoramas give no examples.
        files: where the panoramas are, by name.
        config: how the model's input is made.
        fit: the fit of `result`.
    """
    if len(result.images) < 2:
        return []
    order = order_by_stability(result.scores)
    ends = ((order[0], "Most stable"), (order[-1], "Least stable"))
    return [_example(result, row, label, files, config, fit) for row, label in ends]


def _example(result, row, label, files, config, fit) -> PanoramaExample:
    pixels = decode(files[result.images[row]])
    height, width, _ = pixels.shape
    count = result.shifts.shape[1]
    columns = np.arange(min(_MOST_VIEWS, count)) * count // min(_MOST_VIEWS, count)
    shifts = result.shifts[row, columns]
    plan = plan_views(height, width, shifts.tolist(), config.size, fit, config.interpolation)
    views = np.asarray(shift_views(pixels[None], plan, config.size, fit))[0]
    thumbnail = Image.fromarray(pixels)
    thumbnail.thumbnail(_THUMBNAIL)
    return PanoramaExample(
        image_set=result.image_set,
        image=result.images[row],
        caption=result.captions[row],
        model=result.model,
        fit=result.fit,
        label=label,
        panorama=np.asarray(thumbnail),
        views=np.concatenate(list(views.swapaxes(0, 1)), axis=2),  # tiles side by side
        yaws=360.0 * shifts / width,
        scores=result.scores[row, columns].astype(float),
    )
