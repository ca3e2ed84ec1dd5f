import pytest
from made_scores import noisy_shift_scores


@pytest.fixture
def make_scores():
    return noisy_shift_scores
