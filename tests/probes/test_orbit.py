"""Orbits: what is averaged over equal yaws no longer depends on them, under every fit."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from jclip.checkpoints import load_checkpoint
from jclip.distributed import local_mesh, shard_batch
from jclip.errors import InputError
from jclip.images import flip
from jclip.probes.embed import orbit_shifts, split_network
from jclip.probes.keyword import KeywordProbe
from jclip.probes.probe import score_views
from jclip.probes.shift import ShiftProbe, period
from jclip.probes.subjects import Subject

GOLDEN = Path(__file__).parents[1] / "golden" / "hf_full"
FITS = ["crop", "squash", "pad", "tiles"]
ORBIT, WIDTH = 4, 96


@pytest.fixture(scope="module")
def checkpoint():
    return load_checkpoint(GOLDEN)


@pytest.fixture(scope="module")
def panoramas():
    noise = np.random.default_rng(0).integers(0, 256, (2, 6, 12, 3), np.uint8)
    return jnp.asarray(noise.repeat(8, axis=1).repeat(8, axis=2))


def subject_of(checkpoint, fit):
    width = checkpoint.clip.config.embedding_width
    texts = np.random.default_rng(1).normal(size=(2, 1, width)).astype(np.float32)
    texts /= np.linalg.norm(texts, axis=-1, keepdims=True)
    network = split_network(checkpoint.clip)
    return Subject("golden", fit, network, checkpoint.image_config, texts)


def probe_of(fit, *shifts, orbit, **more):
    return ShiftProbe([WIDTH], 8, shifts, fits=[fit], views_per_step=16, orbit=orbit, **more)


@pytest.mark.parametrize("fit", FITS)
def test_the_orbits_own_yaws_change_nothing(checkpoint, panoramas, fit):
    subject = subject_of(checkpoint, fit)
    probe = probe_of(fit, 24, 48, 72, 13, orbit=ORBIT)
    scores = np.asarray(score_views(probe.embed(subject, panoramas), subject.texts))
    assert scores.shape == (2, 5)
    assert np.abs(scores[:, 1:4] - scores[:, :1]).max() < 1e-4
    assert np.abs(scores[:, 4] - scores[:, 0]).min() > 1e-3
    single = probe_of(fit, 24, 48, 72, 13, orbit=1)
    alone = np.asarray(score_views(single.embed(subject, panoramas), subject.texts))
    assert np.abs(alone[:, 1] - alone[:, 0]).min() > 1e-3


@pytest.mark.parametrize("fit", FITS)
def test_an_orbit_is_the_mean_of_its_yaws_and_has_a_mirror_image(checkpoint, panoramas, fit):
    subject = subject_of(checkpoint, fit)
    mesh, own = local_mesh(), orbit_shifts(WIDTH, ORBIT)
    single = probe_of(fit, *own[1:], orbit=1)
    expected = []
    for pixels in (panoramas, flip(panoramas)):
        mean = np.asarray(single.embed(subject, shard_batch(mesh, np.asarray(pixels)))).mean(axis=1)
        expected.append(mean / np.linalg.norm(mean, axis=1, keepdims=True))
    found = probe_of(fit, 5, orbit=ORBIT, mirror=True).embed(subject, panoramas)
    np.testing.assert_allclose(found[:, 0], expected[0], atol=1e-6)
    np.testing.assert_allclose(found[:, 2], expected[1], atol=1e-6)


def test_equal_shifts_lie_between_two_yaws_of_the_orbit():
    probe = ShiftProbe([256], 8, fits=["crop"], views_per_step=16, orbit=4)
    assert probe.shifts[256] == (0, 8, 16, 24, 32, 40, 48, 56)
    assert probe.views == 32
    assert [period(fit, orbit) for fit in ("crop", "tiles") for orbit in (1, 2, 3)] == [
        *(1, 2, 3),
        *(2, 2, 6),
    ]


def test_a_photo_among_panoramas_is_no_circle(checkpoint, panoramas):
    """Under the keyword probe, whose control is of photos."""
    subject = subject_of(checkpoint, "squash")

    def embedded(pixels, orbit):
        probe = KeywordProbe({}, ["panorama"], ["view"], fits=["squash"], orbit=orbit)
        return np.asarray(probe.embed(subject, pixels))

    photo = panoramas[:, :, :48]
    np.testing.assert_array_equal(embedded(photo, 4), embedded(photo, 1))
    assert np.abs(embedded(panoramas, 4) - embedded(panoramas, 1)).max() > 1e-3


@pytest.mark.parametrize(("orbit", "count"), [(0, 8), (-2, 8), (16, 8)])
def test_impossible_orbits_are_refused(orbit, count):
    with pytest.raises(InputError, match="orbit"):
        ShiftProbe([64], count, fits=["crop"], views_per_step=8, orbit=orbit)
