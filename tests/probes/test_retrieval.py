"""Right captions in groups."""

import jax.numpy as jnp
import pytest

from jclip.probes.retrieval import right_caption_share


def test_shares_are_counted_within_groups():
    images = jnp.eye(4)
    assert right_caption_share(images, images, 4) == 1.0
    swapped = images[jnp.array([1, 0, 2, 3])]
    assert right_caption_share(images, swapped, 2) == 0.5
    assert right_caption_share(images, swapped, 3) == pytest.approx(1 / 3)


def test_ties_count_against():
    assert right_caption_share(jnp.eye(2), jnp.ones((2, 2)), 2) == 0.0


def test_too_few_pairs():
    with pytest.raises(ValueError, match="2 pairs make no group of 3"):
        right_caption_share(jnp.eye(2), jnp.eye(2), 3)
