"""`jclip.load`: a model from a name."""

import os

import jax.numpy as jnp

from jclip.checkpoints import describe_checkpoint, load_checkpoint
from jclip.checkpoints.adapted import with_adapter, with_adapter_name
from jclip.model import Model
from jclip.models.config import Activation
from jclip.text.cleaning import TextChoice


def load(
    source: str | os.PathLike[str],
    *,
    adapter: str | os.PathLike[str] | None = None,
    activation: Activation | None = None,
    text_cleaning: TextChoice = "corrected",
    dtype=jnp.float32,
    allow_pickle: bool = False,
    architecture: str | None = None,
) -> Model:
    """Load a model; nothing is printed, what a reader of its numbers should know is in `notices`.

    Args:
        source: a name of the registry (`ViT-B-32/openai`), `demo`, `random:` and an architecture, a
            folder, a file of weights, or a hub id.
        adapter: folder of a LoRA adapter in peft's layout, merged into the kernels.
        activation: used in both towers instead of the checkpoint's own.
        text_cleaning: of texts, as in training (`corrected`) or as the checkpoint's library has it
            (`reference`); they differ for SigLIP.
        dtype: of the dense kernels; all other parameters are float32.
        allow_pickle: whether weights may come from `.bin` or `.pt` files.
        architecture: of a file of weights without a configuration beside it; see `load_checkpoint`.

    Raises:
        InputError: see `load_checkpoint` and `load_adapter`.

    Example:
        >>> model = jclip.load("demo", adapter="my_lora")
        >>> model.fit
        'crop'
        >>> model.notices
        ('The demo model knows rendered scenes only: its scores of photographs mean nothing.',)
    """
    if not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(f"dtype: {dtype!r} is no type of floating-point numbers")
    description = describe_checkpoint(
        source,
        activation=activation,
        text_cleaning=text_cleaning,
        allow_pickle=allow_pickle,
        architecture=architecture,
    )
    if adapter is None:
        return Model(load_checkpoint(description, dtype=dtype))
    checkpoint = load_checkpoint(with_adapter_name(description, adapter), dtype=dtype)
    return Model(with_adapter(checkpoint, adapter))
