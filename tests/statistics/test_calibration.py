"""The bound under mirroring, by hand."""

import numpy as np
import pytest

from jclip.statistics.calibration import flip_bound


def test_flip_bound_by_hand():
    scores = np.array([10.0, 10.0, 10.0, 10.0, 10.0])
    flipped = np.array([10.0, 9.0, 12.0, 7.0, 14.0])  # |d| = 0, 1, 2, 3, 4: quartiles 1 and 3
    assert flip_bound(scores, flipped) == pytest.approx(3 + 1.5 * 2)
