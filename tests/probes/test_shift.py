from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from jclip.checkpoints import load_checkpoint
from jclip.images import plan_views
from jclip.probes.embed import embed_views
from jclip.probes.probe import score_views
from jclip.probes.shift import shifts_that_fit

GOLDEN = Path(__file__).parents[1] / "golden" / "hf_full"


@pytest.mark.parametrize(
    ("images", "fit", "expected"),
    [(64, "crop", 8), (65, "crop", 4), (256, "crop", 2), (32, "tiles", 8), (33, "tiles", 4)],
)
def test_a_round_is_the_most_that_divides_the_shifts_evenly(images, fit, expected):
    plan = plan_views(32, 64, range(0, 64, 8), 32, fit)
    assert shifts_that_fit(images, plan) == expected


def test_one_shift_at_a_time_is_the_least():
    assert shifts_that_fit(10_000, plan_views(32, 64, (0, 9), 32)) == 1


def test_rounds_change_no_score():
    checkpoint = load_checkpoint(GOLDEN)
    graph, state = nnx.split(checkpoint.clip)
    config = checkpoint.image_config
    rng = np.random.default_rng(0)
    panoramas = jnp.asarray(rng.integers(0, 256, (3, 32, 64, 3), np.uint8))
    texts = jnp.asarray(
        rng.normal(size=(3, 1, checkpoint.clip.config.embedding_width)), jnp.float32
    )
    plan = plan_views(32, 64, (0, 5, 16, 33), config.size, "tiles", config.interpolation)
    whole, rounds = (
        score_views(
            embed_views(
                graph,
                state,
                panoramas,
                plan,
                image_config=config,
                fit="tiles",
                shifts_at_once=at_once,
            ),
            texts,
        )
        for at_once in (None, 2)
    )
    assert whole.shape == (3, 4) and len(np.unique(whole)) == 12
    np.testing.assert_allclose(rounds, whole, rtol=0, atol=2e-3)
