"""The panoramas that a shift report shows: those whose scores move least and most."""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from jclip.checkpoints import ImageConfig
from jclip.data.image_sets import ImageSet
from jclip.data.images import ImageFile, decode
from jclip.data.supplied import Probed
from jclip.images import plan_views, shift_views
from jclip.images.fits import SUPPLIED, SeenFit
from jclip.probes.shift import ShiftScores
from jclip.report.shift_figures import yaw_label
from jclip.report.style import INK, MUTED, drawable, fit_colours, tidy
from jclip.statistics.stability import order_by_stability

_MOST_SHOWN = 8
# Of a thousand shifts nobody looks at every view; the curve needs no more points than this either.
_MOST_VIEWS = 64
_THUMBNAIL = (768, 384)
# Of a view whose encoder is elsewhere: as much of the page as a square of 224 pixels.
_SUPPLIED_VIEW = (224, 112)


@dataclasses.dataclass(frozen=True)
class PanoramaExample:
    """A panorama of one set under one model and fit, with the views behind its scores.

    `panorama` is a thumbnail of the unshifted image; `views` are what the model sees at each of the
    S shifts, on an orbit at the first of its yaws; `yaws` in degrees, `scores` in 100 x cosine;
    index 0 is unshifted. `label` says why it is shown, such as "most stable".
    """

    image_set: str
    image: str
    caption: str
    model: str
    fit: str
    label: str
    panorama: UInt8[np.ndarray, "height width 3"]
    views: UInt8[np.ndarray, "s view_height view_width 3"]
    yaws: Float[np.ndarray, " s"]
    scores: Float[np.ndarray, " s"]
    orbit: int = 1


def example_figure(example: PanoramaExample, beta: float | None) -> Figure:
    """Panorama and score against yaw above, up to eight of the views below.

    For the fit `crop` the window that the unshifted view keeps is outlined in the panorama. With
    beta the zone unshifted score +- beta is shaded.
    """
    # Places are given, not computed: a page may hold dozens of these.
    figure = Figure(figsize=(10.4, 4.5), facecolor="white")
    _draw_panorama(figure.add_axes((0.01, 0.42, 0.44, 0.46)), example)
    _draw_scores(figure.add_axes((0.53, 0.47, 0.46, 0.37)), example, beta)
    _draw_views(figure.add_axes((0.01, 0.01, 0.98, 0.27)), example)
    label = drawable(example.label)
    names = " · ".join((drawable(example.image), drawable(example.model), example.fit))
    figure.suptitle(f"{label[:1].upper()}{label[1:]}: {names}", fontsize=11, color=INK)
    return figure


def _draw_panorama(axes: Axes, example: PanoramaExample) -> None:
    height, width = example.panorama.shape[:2]
    axes.imshow(example.panorama)
    axes.set_axis_off()
    if example.fit == "crop":
        side = min(height, width)
        corner = ((width - side) / 2 - 0.5, (height - side) / 2 - 0.5)
        for colour, line in (("black", "-"), ("white", (0, (4, 3)))):
            axes.add_patch(Rectangle(corner, side, side, fill=False, ec=colour, ls=line))
    kept = "; outlined: what the crop keeps" if example.fit == "crop" else ""
    axes.set_title(f"panorama{kept}", fontsize=9, color=MUTED)


def _draw_scores(axes: Axes, example: PanoramaExample, beta: float | None) -> None:
    tidy(axes)
    order = np.argsort(example.yaws, kind="stable")
    unshifted = example.scores[0]
    if beta is not None:
        zone = axes.axhspan(unshifted - beta, unshifted + beta, color="#8c959f", alpha=0.18, lw=0)
        zone.set_label(f"unshifted ± beta = {beta:g}")
    axes.axhline(unshifted, color=INK, linewidth=1.1, label=f"unshifted score {unshifted:.2f}")
    # A full turn is the unshifted panorama again, and a step of an orbit its score.
    end = 360 / example.orbit
    axes.plot(
        np.append(example.yaws[order], end),
        np.append(example.scores[order], unshifted),
        color=fit_colours([example.fit])[example.fit],
        linewidth=1.6,
        marker="o" if len(order) <= 64 else None,
        markersize=4,
    )
    axes.set_xlim(-end / 90, end + end / 90)
    axes.set_xticks(np.linspace(0, end, 9 if example.orbit == 1 else 5))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.margins(y=0.18)
    axes.set(xlabel="yaw (degrees)", ylabel="score (100 x cosine)")
    above = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "borderaxespad": 0.2}
    axes.legend(**above, ncols=2, frameon=False, fontsize=8.5)


def _draw_views(axes: Axes, example: PanoramaExample) -> None:
    by_yaw = np.argsort(example.yaws, kind="stable")
    count = min(len(by_yaw), _MOST_SHOWN)
    height, width = example.views.shape[1:3]
    step = width + width // 14
    strip = np.full((height, _MOST_SHOWN * step - width // 14, 3), 255, np.uint8)
    for place, index in enumerate(by_yaw[np.arange(count) * len(by_yaw) // count]):
        strip[:, place * step : place * step + width] = example.views[index]
        text = f"{yaw_label(float(example.yaws[index]))}°: {example.scores[index]:.2f}"
        middle = place * step + width / 2
        axes.text(middle, -height / 20, text, ha="center", fontsize=8.5, color=INK)
    axes.imshow(strip)
    axes.set_axis_off()


def extreme_examples(
    results: Sequence[ShiftScores],
    sets: Sequence[ImageSet],
    model: Probed,
) -> list[PanoramaExample]:
    """A model's most and least stable panorama of every set under every fit, with their views.

    Only the model's own among the results are looked at, and those of at least two panoramas.
    """
    files = {(opened.name, image.name): image for opened in sets for image in opened.images}
    examples = []
    for result in results:
        if result.model == model.identity.name and len(result.images) > 1:
            order = order_by_stability(result.scores).tolist()
            for row, label in ((order[0], "Most stable"), (order[-1], "Least stable")):
                file = files[result.image_set, result.images[row]]
                examples.append(_example(result, row, label, file, model.image_config))
    return examples


def _example(
    result: ShiftScores, row: int, label: str, file: ImageFile, config: ImageConfig | None
) -> PanoramaExample:
    pixels = decode(file)
    width = pixels.shape[1]
    count = result.shifts.shape[1]
    columns = np.arange(min(_MOST_VIEWS, count)) * count // min(_MOST_VIEWS, count)
    shifts = result.shifts[row, columns]
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
        views=_views(pixels, shifts.tolist(), result.fit, config),
        yaws=360.0 * shifts / width,
        scores=result.scores[row, columns].astype(float),
        orbit=result.orbit,
    )


def _views(
    pixels: UInt8[np.ndarray, "h w 3"], shifts: list[int], fit: SeenFit, config: ImageConfig | None
) -> UInt8[np.ndarray, "s view_height view_width 3"]:
    """What the model sees at some shifts; of an encoder elsewhere, what it was given."""
    if config is None or fit == SUPPLIED:
        turned = [Image.fromarray(np.roll(pixels, shift, axis=1)) for shift in shifts]
        return np.stack([np.asarray(view.resize(_SUPPLIED_VIEW)) for view in turned])
    height, width, _ = pixels.shape
    plan = plan_views(height, width, shifts, config.size, fit, config.interpolation)
    views = np.asarray(shift_views(pixels[None], plan, config.size, fit))[0]
    return np.concatenate(list(views.swapaxes(0, 1)), axis=2)  # tiles side by side
