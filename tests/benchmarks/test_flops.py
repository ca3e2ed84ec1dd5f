import dataclasses

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from benchmarks.compile_report.chips import CHIPS
from benchmarks.compile_report.flops import product_flops, roofline
from jclip.checkpoints.architectures import ARCHITECTURES
from jclip.checkpoints.flops import tower_flops
from jclip.models import CLIP

X, W = jnp.zeros((4, 8)), jnp.zeros((8, 8))
ONE = 2 * 4 * 8 * 8


def flops(function, *arguments, **options):
    return product_flops(jax.make_jaxpr(function)(*arguments), **options)


def test_a_scan_counts_as_often_as_it_is_long():
    def five(x):
        return jax.lax.scan(lambda x, _: (x @ W, None), x @ W, length=5)[0]

    assert flops(five, X) == 6 * ONE
    assert flops(jax.jit(jax.checkpoint(five)), X) == 6 * ONE
    assert flops(five, X, loops_once=True) == 2 * ONE


def test_scans_within_scans_multiply():
    def inner(x, _):
        return jax.lax.scan(lambda x, _: (x @ W, None), x, length=3)[0], None

    assert flops(lambda x: jax.lax.scan(inner, x, length=5)[0], X) == 15 * ONE


def test_the_dearest_branch_counts():
    def branch(x):
        return jax.lax.cond(x[0, 0] > 0, lambda x: x @ W @ W, lambda x: x @ W, x)

    assert flops(branch, X) == 2 * ONE


def test_a_loop_of_unknown_length_is_refused_if_it_has_products():
    def wait(x):
        return jax.lax.while_loop(lambda x: x[0, 0] < 1, lambda x: x @ W, x)

    with pytest.raises(ValueError, match="unknown length"):
        flops(wait, X)
    assert flops(lambda x: jax.lax.while_loop(lambda x: x < 1, lambda x: x + 1, x), 0.0) == 0


@pytest.mark.parametrize(
    "name",
    [
        "ViT-B-32",
        "ViT-L-14",
        "ViT-B-32-SigLIP2-256",
        "ViT-B-16-SigLIP2-naflex",
        "EVA02-B-16",
        "PE-Core-B-16",
        "ViT-L-14-CLIPA",
        "ViT-H-14-worldwide",
        "ViT-SO400M-16-SigLIP-i18n-256",
    ],
)
def test_a_tower_is_has_the_products_of_the_formula(name):
    config = ARCHITECTURES[name]
    graph, state = nnx.split(nnx.eval_shape(lambda: CLIP(config, rngs=nnx.Rngs(0))))
    side = config.vision.image_size
    pixels = jax.ShapeDtypeStruct((3, side, side, 3), jnp.float32)
    counted = flops(lambda s, p: nnx.merge(graph, s).encode_image(p), state, pixels)
    assert counted == pytest.approx(3 * tower_flops(config), rel=0.03)
    if not config.vision.flexible:
        assert counted == 3 * tower_flops(config)


def test_the_slower_of_computing_and_moving_sets_the_time():
    chip = dataclasses.replace(CHIPS["v5e"], peak_flops=100.0, hbm_bandwidth=10.0)
    work = roofline(1000.0, 50.0, chip)
    assert (work["compute_ms"], work["memory_ms"], work["roofline_ms"]) == (1e4, 5e3, 1e4)
    assert (work["intensity"], work["ridge"], work["bound"]) == (20.0, 10.0, "compute")
    traffic = roofline(1000.0, 200.0, chip)
    assert (traffic["roofline_ms"], traffic["bound"]) == (2e4, "memory")
