"""Heads written and read back, and files that are no heads."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import load_file, save_file

from jclip.errors import InputError
from jclip.heads import HeadConfig, create_head, head_base, load_head, save_head

KINDS = ("linear", "linear_visual", "linear_text", "mlp", "attention")
SIZE = 8


def head_of(kind, **options):
    return create_head(HeadConfig(kind, SIZE, attention_heads=4, **options), nnx.Rngs(0))


def drawn(seed):
    return np.random.default_rng(seed).normal(size=(3, SIZE)).astype(np.float32)


@pytest.mark.parametrize("kind", KINDS)
def test_a_head_comes_back_as_it_was(kind, tmp_path):
    head, path = head_of(kind), tmp_path / "head.safetensors"
    save_head(head, path, base={"model": {"name": "a"}})
    again = load_head(path)
    assert again.config == head.config
    for one, other in zip(*(jax.tree.leaves(nnx.state(h)) for h in (head, again)), strict=True):
        np.testing.assert_array_equal(one, other)
    assert head_base(path) == {"model": {"name": "a"}}


def test_score_and_scale_are_kept(tmp_path):
    head = head_of("linear", score_function="dot", learned_scale=True)
    head.log_scale[...] = head.log_scale[...] + 1
    save_head(head, tmp_path / "head.safetensors")
    again = load_head(tmp_path / "head.safetensors")
    assert again.config.score_function == "dot"
    expected = head.similarity(drawn(0), drawn(1))
    np.testing.assert_array_equal(again.similarity(drawn(0), drawn(1)), expected)


@pytest.mark.parametrize(
    ("kept", "kind"), [((0, 1), "linear"), ((0,), "linear_visual"), ((1,), "linear_text")]
)
def test_a_published_file_says_what_it_is_by_its_tensors(kept, kind, tmp_path):
    rng = np.random.default_rng(0)
    tensors = {
        f"linear_layers.{i}.0.{name}": rng.normal(size=shape).astype(np.float32)
        for i in kept
        for name, shape in (("weight", (SIZE, SIZE)), ("bias", (SIZE,)))
    }
    path = tmp_path / "head.safetensors"
    save_file(tensors, path)
    head = load_head(path)
    assert head.config == HeadConfig(kind, SIZE)
    assert head_base(path) is None
    x = drawn(0)
    for modality, project in enumerate((head.project_images, head.project_texts)):
        expected = x
        if modality in kept:
            weight, bias = (
                tensors[f"linear_layers.{modality}.0.{name}"] for name in ("weight", "bias")
            )
            expected = x @ weight.T + bias
        np.testing.assert_allclose(project(jnp.asarray(x)), expected, atol=1e-5)


@pytest.mark.parametrize(("kind", "name", "shape"), [
    ("mlp", "linear_layers.1.1.weight", (SIZE, SIZE)),
    ("attention", "attention_layers.0.in_proj_weight", (3 * SIZE, SIZE)),
    ("attention", "cls_linear.weight", (SIZE, 1)),
])  # fmt: skip
def test_files_have_the_names_and_shapes_of_the_papers_code(kind, name, shape, tmp_path):
    save_head(head_of(kind), tmp_path / "head.safetensors")
    assert load_file(tmp_path / "head.safetensors")[name].shape == shape


def saved(tmp_path, change, keep_metadata=False):
    """A linear head's file with its tensors changed."""
    path = tmp_path / "head.safetensors"
    save_head(head_of("linear"), path)
    tensors = load_file(path)
    header = path.read_bytes()[8 : 8 + int.from_bytes(path.read_bytes()[:8], "little")]
    metadata = json.loads(header)["__metadata__"] if keep_metadata else None
    change(tensors)
    save_file(tensors, path, metadata)
    return path


def test_an_unknown_score_is_refused(tmp_path):
    path = tmp_path / "head.safetensors"
    metadata = {"jclip.head": json.dumps({"score_function": "sine"})}
    save_file({}, path, metadata)
    with pytest.raises(InputError, match="holds no head: it is empty"):
        load_head(path)
    save_head(head_of("linear"), path)
    save_file(load_file(path), path, metadata)
    with pytest.raises(InputError, match="score function 'sine' is not known"):
        load_head(path)


def test_every_change_of_a_saved_head_is_noticed(tmp_path):
    def flip(tensors):
        tensors["linear_layers.1.0.bias"][3] += 1e-7

    with pytest.raises(InputError, match=r"damaged: linear_layers\.1\.0\.bias is not as it was"):
        load_head(saved(tmp_path, flip, keep_metadata=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("linear_layers.1.0.bias"), r"missing: linear_layers\.1\.0\.bias"),
        (lambda t: t.update(more=np.ones(2, np.float32)), "unexpected: more"),
        (
            lambda t: t.update({"linear_layers.0.0.bias": np.ones(3, np.float32)}),
            r"misshapen: linear_layers\.0\.0\.bias \(3,\) for \(8,\)",
        ),
        (lambda t: t["linear_layers.0.0.bias"].fill(np.nan), "not finite"),
        (lambda t: t.clear() or t.update(x=np.ones(2, np.float32)), "holds no head: x"),
        (
            lambda t: t.update({"linear_layers.0.0.weight": np.ones(3, np.float32)}),
            r"the first map of a linear head has shape \(3,\)",
        ),
    ],
)
def test_what_is_no_head_is_refused(change, message, tmp_path):
    with pytest.raises(InputError, match=message):
        load_head(saved(tmp_path, change))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent.safetensors", "is no file"),
        ("head.bin", "heads are .safetensors, .pt or .pth"),
        ("head.pt", "is a pickle, which is read only where pickles are allowed"),
        ("head.safetensors", "cannot be read as safetensors"),
    ],
)
def test_other_files_are_refused(name, message, tmp_path):
    if "absent" not in name:
        (tmp_path / name).write_bytes(b"nothing")
    with pytest.raises(InputError, match=message):
        load_head(tmp_path / name)


def test_a_head_that_is_not_finite_is_not_saved(tmp_path):
    head = head_of("linear")
    head.text.bias[...] = head.text.bias[...].at[0].set(np.inf)
    with pytest.raises(InputError, match=r"linear_layers\.1\.0\.bias not finite"):
        save_head(head, tmp_path / "head.safetensors")
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="are written as"):
        save_head(head, tmp_path / "head.pt")
