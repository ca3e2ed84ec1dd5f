import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from jclip.errors import InputError
from jclip.images import CUBE, plan_chunks, plan_sphere, plan_views, ring, shift_views, sphere_views
from jclip.images.fits import check_placed, fit_option, fits_of, known_fit
from jclip.images.sphere_fits import sphere_cameras

NOISE = np.random.default_rng(0).integers(0, 256, (2, 32, 64, 3), np.uint8)


@pytest.mark.parametrize(("fit", "cameras"), [("cube", CUBE), ("ring:5", ring(5))])
def test_views_of_shifted_panoramas_are_those_of_rolled_ones(fit, cameras):
    shifts = [0, 16, -3]
    found = shift_views(NOISE, plan_views(32, 64, shifts, 8, fit), 8, fit)
    assert found.shape == (2, 3, len(cameras), 8, 8, 3)
    plan = plan_sphere(32, 64, cameras, 8, 4)
    for place, shift in enumerate(shifts):
        expected = sphere_views(np.roll(NOISE, shift, axis=2), plan)
        np.testing.assert_array_equal(found[:, place], expected)


def test_samples_are_as_many_as_the_panorama_has_columns_for():
    """At 64 pixels of 512 columns 16, at 256 one."""
    counts = [plan_views(256, 512, [0], size, "cube").sphere.first.shape[2] for size in (64, 256)]
    assert counts == [16, 1]


def test_chunks_of_shifts_are_the_whole_list():
    whole = shift_views(NOISE, plan_views(32, 64, [0, 5, 9], 8, "ring:2"), 8, "ring:2")
    chunks = plan_chunks(32, 64, [0, 5, 9], 8, 2, "ring:2")
    assert [plan.views for plan in chunks] == [(2, 2), (2, 2)]
    found = [shift_views(jnp.asarray(NOISE), plan, 8, "ring:2") for plan in chunks]
    np.testing.assert_array_equal(np.concatenate(found, axis=1)[:, :3], whole)


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (lambda: known_fit("rings:8"), "'rings:8' is none of crop, .* tangent:N"),
        (lambda: known_fit("own"), "'own' is none of"),
        (lambda: known_fit(None), "None is none of"),
        (lambda: fit_option("ring"), "ring needs its number of views, as ring:8"),
        (lambda: fit_option("ring:0"), "needs its number"),
        (lambda: fit_option("tangent:x"), "needs its number"),
        (lambda: fit_option("tangent:3"), "3 tangent views"),
        (lambda: check_placed(50, 80, 8, "cube"), "80 x 50 pixels"),
        (lambda: plan_views(50, 80, [0], 8, "ring:4"), "80 x 50 pixels"),
    ],
)
def test_what_is_no_fit_is_refused(call, names):
    with pytest.raises(InputError, match=names):
        call()


def test_fits_are_told_apart():
    @dataclasses.dataclass
    class Config:
        fit: str = "crop"

    assert fits_of(["own", "ring:8", "crop", "cube"], Config()) == ["crop", "ring:8", "cube"]
    counts = [len(sphere_cameras(fit)) for fit in ("cube", "ring:9", "tangent:12", "crop")]
    assert counts == [6, 9, 12, 0]
