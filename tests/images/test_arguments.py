"""Arrays and numbers that are not what is meant are refused by name, and never computed on."""

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest
from PIL import Image

from jclip import images as module
from jclip.images.boxes import fit_square
from jclip.images.owl_preprocess import DetectorImages, detector_pixels

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 32, 64, 3), np.uint8)
DETECTOR = DetectorImages(size=8, mean=(0.5,) * 3, std=(0.5,) * 3, padded=True)


@pytest.fixture(autouse=True)
def _as_users_have_it():
    """Without the checks of types that only tests make."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


preprocess, normalise = module.preprocess, module.normalise
shift_views, plan_views = module.shift_views, module.plan_views
PLAN = module.plan_views(32, 64, [0, 8], 16)

OF_PIXELS = {
    "preprocess": (lambda x: preprocess(x, 16), "images"),
    "shift_views": (lambda x: shift_views(x, PLAN, 16), "panoramas"),
    "fit_square": (lambda x: fit_square(x[0], 16), "pixels"),
    "detector_pixels": (lambda x: detector_pixels(x[0], DETECTOR), "image"),
    "normalise": (lambda x: normalise(x), "pixels"),
}
WRONG_PIXELS = {
    "scaled to 0 .. 1": (PIXELS / 255, TypeError, "float64 values; pixels are uint8"),
    "float32": (PIXELS.astype(np.float32), TypeError, "float32 values"),
    "int64": (PIXELS.astype(np.int64), TypeError, "int64 values"),
    "truth values": (PIXELS > 9, TypeError, "bool values"),
    "channels first": (PIXELS.transpose(0, 3, 1, 2), ValueError, "channels come last"),
    "RGBA": (PIXELS[..., [0, 1, 2, 0]], ValueError, "RGB"),
    "grey": (PIXELS[..., :1], ValueError, "RGB"),
    "without pixels": (PIXELS[:, :0], ValueError, "holds nothing"),
}


@pytest.mark.parametrize("case", WRONG_PIXELS)
@pytest.mark.parametrize("name", OF_PIXELS)
def test_what_are_no_pixels_is_refused_by_name(name, case):
    call, argument = OF_PIXELS[name]
    pixels, kind, message = WRONG_PIXELS[case]
    for array in (pixels, jnp.asarray(pixels)):
        # JAX has float32 and int32 where numpy has float64 and int64.
        expected = message.replace("64", "32") if isinstance(array, jax.Array) else message
        with pytest.raises(kind, match=f"{argument}: .*{expected}"):
            call(array)


@pytest.mark.parametrize("name", ["preprocess", "shift_views", "normalise"])
def test_lists_pictures_and_empty_batches_are_refused_by_name(name):
    call, argument = OF_PIXELS[name]
    for images in (list(PIXELS), [Image.fromarray(PIXELS[0])], Image.fromarray(PIXELS[0]), None):
        with pytest.raises(TypeError, match=f"{argument}: a .* where an array"):
            call(images)
    with pytest.raises(ValueError, match=f"{argument}: shape .* holds nothing"):
        call(PIXELS[:0])
    if name != "normalise":
        with pytest.raises(ValueError, match=rf"{argument}: shape \(32, 64, 3\), not \[N, H, W, 3"):
            call(PIXELS[0])


def test_checks_hold_while_a_function_is_traced():
    jax.jit(lambda x: preprocess(x, 16))(PIXELS)
    jax.jit(lambda x, mean: normalise(x, mean))(PIXELS, np.array([0.1, 0.2, 0.3]))
    for x, kind in ((PIXELS / 255, TypeError), (PIXELS.transpose(0, 3, 1, 2), ValueError)):
        with pytest.raises(kind, match="images"):
            jax.eval_shape(lambda x: preprocess(x, 16), x)


@pytest.mark.parametrize("function", ["preprocess", "normalise"])
@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("mean", (123.7, 116.3, 103.5), ValueError),
        ("mean", (-0.1, 0, 0), ValueError),
        ("mean", (float("nan"), 0, 0), ValueError),
        ("mean", (0.5, 0.5), ValueError),
        ("mean", 0.5, TypeError),
        ("mean", "abc", TypeError),
        ("mean", None, TypeError),
        ("std", (0, 0, 0), ValueError),
        ("std", (58.4, 57.1, 57.4), ValueError),
        ("std", (float("inf"), 1, 1), ValueError),
        ("std", (-0.2, 0.2, 0.2), ValueError),
    ],
)
def test_mean_and_deviation_are_of_values_in_0_to_1(function, name, values, kind):
    call = (lambda **k: preprocess(PIXELS, 16, **k)) if function == "preprocess" else normalise
    with pytest.raises(kind, match=f"{name}: "):
        call(**{name: values}) if function == "preprocess" else call(PIXELS, **{name: values})


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: preprocess(PIXELS, 16.0), TypeError, "size: 16.0 is no whole number"),
        (lambda: preprocess(PIXELS, True), TypeError, "size: True is no whole number"),
        (lambda: preprocess(PIXELS, "16"), TypeError, "size: '16' is no whole number"),
        (lambda: preprocess(PIXELS, 0), ValueError, "0 x 0"),
        (lambda: preprocess(PIXELS, 16, "stretch"), ValueError, "unknown fit 'stretch'"),
        (lambda: preprocess(PIXELS, 16, None), ValueError, "unknown fit None"),
        (
            lambda: preprocess(PIXELS, 16, interpolation="nearest"),
            ValueError,
            "unknown interpolation 'nearest'",
        ),
        (
            lambda: fit_square(PIXELS[0], 8, interpolation="nearest"),
            ValueError,
            "unknown interpolation 'nearest'",
        ),
        (lambda: plan_views(32, 64, 8, 16), TypeError, "shifts: a int where whole numbers"),
        (lambda: plan_views(32, 64, "8", 16), TypeError, "shifts: a str where whole numbers"),
        (lambda: plan_views(32, 64, [0, 0.5], 16), TypeError, r"shifts\[1\]: 0.5 is no whole"),
        (
            lambda: plan_views(32, 64, np.array([0.5]), 16),
            TypeError,
            r"shifts\[0\]: .*0.5.* is no whole",
        ),
        (lambda: plan_views(32.0, 64, [0], 16), TypeError, "height: 32.0 is no whole number"),
        (lambda: plan_views(32, 64, [], 16), ValueError, "no shifts given"),
        (lambda: module.place(3, "a", 5, "crop"), TypeError, "width: 'a' is no whole"),
        (
            lambda: module.plan_chunks(32, 64, [0], 16, 2.0),
            TypeError,
            "chunk: 2.0 is no whole number",
        ),
        (lambda: shift_views(PIXELS, None, 16), TypeError, "plan: a NoneType where"),
    ],
)
def test_numbers_and_names_of_another_kind_are_refused_by_name(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


@pytest.mark.parametrize("name", ["circular_shift", "flip"])
def test_panoramas_of_another_order_are_refused_by_name(name):
    arguments = (3,) if name == "circular_shift" else ()
    call = getattr(module, name)
    for panorama, kind, message in (
        (PIXELS.transpose(0, 3, 1, 2), ValueError, "channels come last"),
        (PIXELS[0, :, :, 0], ValueError, "channels come last|not"),
        (PIXELS[0, 0, 0], ValueError, "not"),
        (PIXELS[:0], ValueError, "holds nothing"),
        ([PIXELS[0]], TypeError, "a list where an array"),
        (Image.fromarray(PIXELS[0]), TypeError, "a Image where an array"),
    ):
        with pytest.raises(kind, match=f"panorama: .*({message})"):
            call(panorama, *arguments)


def test_shifts_of_another_kind_are_refused_by_name():
    for pixels in (0.5, "1", None, np.array(0.5), np.array([1, 2])):
        with pytest.raises(TypeError, match="pixels: "):
            module.circular_shift(PIXELS, pixels)
