"""What does averaging over an orbit of yaws buy, without training, and what does it cost?

    python -m benchmarks.orbits --fits crop,squash,tiles,cube

The demo model on five disjoint sets of 96 panoramas of its world. Every panorama is embedded at 16
yaws, 22.5 degrees apart: an orbit of K averages every (16 / K)-th, turned by the others. For each
fit and orbit (1 is a single view): the median |d| at the odd multiples of 22.5 degrees, which lie
in no orbit, and at the worst yaw; the right caption among 16; Spearman's correlation with the
single view's scores; the effect of a format word; views that the network sees, and milliseconds
for a panorama alone. Means and 95 % intervals over the five sets, by Student's t.
"""

import argparse
import functools

import jax.numpy as jnp
import numpy as np
import scipy
from jaxtyping import Float

from benchmarks.timing import take_turns, timed
from jclip.checkpoints import load_checkpoint
from jclip.data.image_sets import ImageSet, open_image_sets
from jclip.data.images import decode
from jclip.data.pipeline import plan_batches
from jclip.distributed import local_mesh, shard_batch
from jclip.images import plan_views
from jclip.images.fits import fit_option
from jclip.probes.embed import device_plans, embed_all, embed_views, orbit_shifts
from jclip.probes.retrieval import right_caption_share
from jclip.probes.shift import ShiftProbe
from jclip.probes.subjects import Subject, make_subjects
from jclip.probes.trade_off import AMONG, trade_off_prompts

YAWS, SETS, ORBITS, VIEWS, ROUNDS = 16, 5, (1, 2, 4, 8), 64, 9
HEADINGS = ("|d| between", "largest |d|", "right of 16 (%)", "Spearman", "format word")


def measures(
    views: Float[np.ndarray, "n y e"], texts: Float[np.ndarray, "n 3 e"], orbit: int
) -> list[float]:
    """The columns of the table for one set; `views` are at all yaws, `texts` of three prompts."""
    turned = np.stack([np.roll(views, k, axis=1) for k in range(0, YAWS, YAWS // orbit)])
    mean = turned.mean(axis=0)
    mean /= np.linalg.norm(mean, axis=-1, keepdims=True)
    plain, identifier, generic = np.moveaxis(texts, 1, 0)
    scores = 100 * np.einsum("nye,ne->ny", mean, plain)
    change = np.median(np.abs(scores - scores[:, :1]), axis=0)
    single = 100 * np.einsum("ne,ne->n", views[:, 0], plain)
    right = right_caption_share(jnp.asarray(mean[:, 0]), jnp.asarray(plain), AMONG)
    word = np.median(100 * np.einsum("ne,ne->n", mean[:, 0], identifier - generic))
    rank = scipy.stats.spearmanr(single, scores[:, 0]).statistic
    between = np.median(np.abs(scores[:, 1::2] - scores[:, :1]))
    return [float(between), float(change.max()), 100 * right, float(rank), float(word)]


def embedded(subject: Subject, panoramas: ImageSet) -> Float[np.ndarray, "n y e"]:
    """All panoramas at all yaws."""
    widths = [image.width for image in panoramas.images]
    probe = ShiftProbe(widths, YAWS, fits=[subject.fit], views_per_step=VIEWS)
    plans = plan_batches(panoramas.images, VIEWS // YAWS, local_mesh().size)
    embed = functools.partial(probe.embed, subject)
    return embed_all(
        panoramas.images, plans, lambda batch: embed(shard_batch(local_mesh(), batch.pixels))
    )


def milliseconds(subject: Subject, panoramas: ImageSet) -> dict[int, float]:
    """Of the program that embeds one panorama, by orbit, in turn."""
    config, pixels = subject.image_config, jnp.asarray(decode(panoramas.images[0])[None])
    height, width = pixels.shape[1:3]

    def task(orbit: int):
        yaws = orbit_shifts(width, orbit, subject.fit)
        (plan,) = device_plans((height, width), yaws, config, subject.fit)
        settings = {"image_config": config, "fit": subject.fit, "orbit": len(yaws)}
        return timed(lambda: embed_views(*subject.network, pixels, plan, **settings))

    taken = take_turns({orbit: task(orbit) for orbit in ORBITS}, ROUNDS)
    return {orbit: 1e3 * seconds.median for orbit, seconds in taken.items()}


def main() -> None:
    """Print the table, a block per fit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fits", default="crop,squash,pad,tiles,cube,ring:8")
    parser.add_argument("--model", default="demo")
    parser.add_argument("--images", default="demo:480")
    options = parser.parse_args()
    (panoramas,) = open_image_sets((options.images,), None, 2**28)
    checkpoint = load_checkpoint(options.model)
    fits = [fit_option(fit) for fit in options.fits.split(",")]
    subjects, _ = make_subjects(checkpoint, fits, trade_off_prompts(panoramas, "This is "))
    parts = np.array_split(np.arange(len(panoramas.images)), SETS)
    reach = scipy.stats.t.ppf(0.975, SETS - 1) / np.sqrt(SETS)
    print(
        f"{'fit':10}{'orbit':>6}{'views':>7}{'ms':>8}" + "".join(f"{name:>18}" for name in HEADINGS)
    )
    size, first = checkpoint.image_config.size, panoramas.images[0]
    for subject in subjects:
        views, cost = embedded(subject, panoramas), milliseconds(subject, panoramas)
        tiles = plan_views(first.height, first.width, [0], size, subject.fit).views[1]
        for orbit in ORBITS:
            found = np.array([measures(views[p], subject.texts[p], orbit) for p in parts])
            mean, half = found.mean(axis=0), reach * found.std(axis=0, ddof=1)
            cells = [f"{m:.2f} ± {h:.2f}" for m, h in zip(mean, half, strict=True)]
            yaws = len(orbit_shifts(first.width, orbit, subject.fit))
            line = f"{subject.fit:10}{orbit:6}{yaws * tiles:7}{cost[orbit]:8.1f}"
            print(line + "".join(f"{cell:>18}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
