"""Heads as PyTorch writes them, `.pt` files, as paper 2 publishes its own."""

import numpy as np
import pytest
from flax import nnx

from jclip.errors import InputError
from jclip.heads import HeadConfig, create_head, load_head, save_head

pytestmark = pytest.mark.parity
torch = pytest.importorskip("torch")

SIZE = 64


@pytest.mark.parametrize("kind", ["linear", "linear_visual", "linear_text", "mlp", "attention"])
def test_a_pickled_head_scores_as_it_does_as_safetensors(tmp_path, kind):
    from safetensors.torch import load_file

    head = create_head(HeadConfig(kind, SIZE, "sigmoid_cosine"), nnx.Rngs(0))
    save_head(head, tmp_path / "head.safetensors")
    torch.save(load_file(tmp_path / "head.safetensors"), tmp_path / "head.pt")
    with pytest.raises(InputError, match="allow"):
        load_head(tmp_path / "head.pt")
    images, texts = np.random.default_rng(0).normal(size=(2, 3, SIZE)).astype(np.float32)
    scores = load_head(tmp_path / "head.safetensors").similarity(images, texts)
    again = load_head(tmp_path / "head.pt", allow_pickle=True).similarity(images, texts)
    np.testing.assert_array_equal(again, scores)
