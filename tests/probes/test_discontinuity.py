"""The Discontinuity Score against goldens, and what it does and does not see."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jclip.probes.discontinuity import (
    discontinuity_scores,
    panoeval_discontinuity,
    seam_excess,
)

GOLDEN = Path(__file__).parents[1] / "golden" / "panorama_scores"
EXPECTED = json.loads((GOLDEN / "expected.json").read_text())["discontinuity"]


def read(name):
    return np.asarray(Image.open(GOLDEN / "panoramas" / f"{name}.png").convert("RGB"))


def with_half_inverted(panorama):
    broken = panorama.copy()
    broken[:, : broken.shape[1] // 2] = 255 - broken[:, : broken.shape[1] // 2]
    return broken


def test_golden_scores_at_all_eighths():
    panoramas = np.stack([read(name) for name in EXPECTED])
    expected = np.array([one["survey_rolled_by_eighths"] for one in EXPECTED.values()])
    found = discontinuity_scores(panoramas)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
    excess = expected[:, 0] - expected[:, 1:].mean(axis=1)
    np.testing.assert_allclose(seam_excess(found), excess, atol=1e-9)
    broken = discontinuity_scores(np.stack(list(map(with_half_inverted, panoramas))))
    inverted = [one["survey_left_half_inverted"] for one in EXPECTED.values()]
    np.testing.assert_allclose(broken[:, 0], inverted, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", list(EXPECTED))
def test_golden_scores_as_panoeval_has_them(name):
    panorama, expected = read(name), EXPECTED[name]
    assert panoeval_discontinuity(panorama) == pytest.approx(expected["panoeval"], abs=1e-9)
    without = panoeval_discontinuity(panorama, resize=False)
    assert without == pytest.approx(expected["panoeval_without_resize"], abs=1e-9)
    # It never touches the seam: half of the picture inverted leaves it.
    broken = panoeval_discontinuity(with_half_inverted(panorama), resize=False)
    assert broken == pytest.approx(without, abs=1e-12)


def test_the_excess_tells_a_seam_from_texture():
    rng = np.random.default_rng(0)
    texture = rng.integers(0, 256, (6, 64, 128, 3), dtype=np.uint8)
    assert np.abs(seam_excess(discontinuity_scores(texture))).max() < 0.6
    ramp = np.repeat(np.linspace(0, 200, 128, dtype=np.uint8)[None, :, None], 64, axis=0)
    torn = np.repeat(ramp, 3, axis=2)[None]
    assert seam_excess(discontinuity_scores(torn))[0] > 10
