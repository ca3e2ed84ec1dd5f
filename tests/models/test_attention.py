import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jclip.models import attention
from jclip.models.attention import attend

SHAPE = (2, 5, 3, 16)
needs_gpu_compiler = pytest.mark.skipif(
    importlib.util.find_spec("jax_cuda13_plugin") is None,
    reason="jax-cuda13-plugin is not installed (extra cuda)",
)


def drawn(dtype, shape=SHAPE):
    rng = np.random.default_rng(0)
    return [jnp.asarray(rng.normal(size=shape), dtype) for _ in range(3)]


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_without_a_compiler_for_gpus_it_is_the_plain_form(dtype, monkeypatch):
    monkeypatch.setattr(attention, "_for_gpus", lambda: False)
    inputs = drawn(dtype)
    ours = jax.make_jaxpr(attend)(*inputs)
    assert str(ours) == str(jax.make_jaxpr(jax.nn.dot_product_attention)(*inputs))


def fused(monkeypatch, *inputs, mask=None):
    """Whether attention is asked for in its fused form."""
    asked = []
    monkeypatch.setattr(attention, "_for_gpus", lambda: True)
    monkeypatch.setattr(
        attention, "_attend_to_themselves", lambda *qkv: asked.append(True) or qkv[0]
    )
    attend(*inputs, mask)
    return bool(asked)


def test_only_what_the_fused_kernel_takes_goes_there(monkeypatch):
    q, k, v = drawn(jnp.bfloat16)
    assert fused(monkeypatch, q, k, v)
    assert not fused(monkeypatch, *drawn(jnp.float32))
    assert not fused(monkeypatch, q[:, :1], k, v)
    assert not fused(monkeypatch, q, k, v, mask=jnp.ones((1, 1, 5, 5), bool))
    assert not fused(monkeypatch, *drawn(jnp.bfloat16, (2, 5, 3, 12)))
    assert not fused(monkeypatch, *drawn(jnp.bfloat16, (2, 5, 3, 136)))


@pytest.mark.gpu_compiler
@needs_gpu_compiler
def test_with_a_compiler_for_gpus_a_cpu_computes_the_plain_form_and_its_gradients():
    inputs = drawn(jnp.bfloat16)

    def total(how):
        return lambda *inputs: how(*inputs).astype(jnp.float32).sum()

    np.testing.assert_array_equal(attend(*inputs), jax.nn.dot_product_attention(*inputs))
    for ours, plain in zip(
        jax.grad(total(attend), (0, 1, 2))(*inputs),
        jax.grad(total(jax.nn.dot_product_attention), (0, 1, 2))(*inputs),
        strict=True,
    ):
        np.testing.assert_array_equal(ours, plain)
