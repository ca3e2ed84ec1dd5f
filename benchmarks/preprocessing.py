"""How long do the shifted views of a panorama take, beside Pillow on one core?

    python -m benchmarks.preprocessing

For each panorama size and fit, 8 views of one panorama at size 224: the shifts of paper 1 (k W/8),
and shifts that are not whole pixels after resizing. Pillow rolls, resizes, crops and normalises
each view in turn, as the papers' scripts do. Both are timed in turn in one run and checked to give
the same levels; the median of the repetitions is printed, and their ratio. About a minute.
"""

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from benchmarks.timing import take_turns, timed
from jclip.images import CLIP_MEAN, CLIP_STD, Fit, normalise, place, plan_views, shift_views

SIZE, WIDTHS, ROUNDS = 224, (512, 1024, 2048), 9
FITS: tuple[Fit, ...] = ("crop", "squash", "pad", "tiles")


def pillow_levels(panorama: np.ndarray, shift: int, fit: Fit) -> np.ndarray:
    """The views `[T, SIZE, SIZE, 3] uint8` of a panorama at one shift, by Pillow."""
    placement = place(panorama.shape[0], panorama.shape[1], SIZE, fit)
    (height, width), (top, left) = placement.resized, placement.offset
    above, _, before, _ = placement.bars
    views = []
    for start in placement.tile_starts:
        part = np.roll(panorama, shift - start, axis=1)[:, : placement.tile_width]
        resized = Image.fromarray(part).resize((width, height), Image.Resampling.BICUBIC)
        square = Image.new("RGB", (SIZE, SIZE))
        square.paste(resized, (before - left, above - top))
        views.append(np.asarray(square))
    return np.stack(views)


def compare(height: int, width: int, shifts: list[int], fit: Fit) -> tuple[float, float]:
    """Median seconds of the device and of Pillow for one panorama; fails where levels differ."""
    panorama = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    plan = jax.device_put(plan_views(height, width, shifts, SIZE, fit))

    def pillow_views() -> np.ndarray:
        return np.stack([pillow_levels(panorama, shift, fit) for shift in shifts])

    levels = shift_views(jnp.asarray(panorama[None]), plan, SIZE, fit)[0]
    np.testing.assert_array_equal(np.asarray(levels), pillow_views())

    @jax.jit
    def views(panoramas, plan):
        return normalise(shift_views(panoramas, plan, SIZE, fit))

    def pillow() -> np.ndarray:
        unit = pillow_views().astype(np.float32) / np.float32(255)
        return (unit - np.asarray(CLIP_MEAN, np.float32)) / np.asarray(CLIP_STD, np.float32)

    # The panorama starts on the host both times: its transfer belongs to the preprocessing.
    device = timed(lambda: views(jnp.asarray(panorama[None]), plan))
    taken = take_turns({"device": device, "Pillow": timed(pillow)}, ROUNDS)
    return taken["device"].median, taken["Pillow"].median


def main() -> None:
    """Print the table."""
    print(f"jax {jax.__version__} on {jax.devices()[0].device_kind}, Pillow {Image.__version__}")
    print("panorama   fit     shifts       jclip ms  Pillow ms  ratio")
    for width in WIDTHS:
        whole = [k * width // 8 for k in range(8)]
        fractional = [shift + k + 1 for k, shift in enumerate(whole)]
        for fit in FITS:
            for name, shifts in (("k W/8", whole), ("fractional", fractional)):
                ours, theirs = compare(width // 2, width, shifts, fit)
                print(
                    f"{width:5}x{width // 2:<5}{fit:7} {name:11}{1e3 * ours:9.1f}"
                    f"{1e3 * theirs:11.1f}{theirs / ours:7.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
