"""Writing a checkpoint in the layout of the transformers library."""

import os
import shutil
from pathlib import Path
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from jclip.checkpoints.checkpoint import Checkpoint
from jclip.checkpoints.layouts import transformers_rules, transformers_values
from jclip.checkpoints.location import SMALL_FILES
from jclip.checkpoints.name_map import restore
from jclip.checkpoints.preprocessing import transformers_preprocessing
from jclip.errors import InputError
from jclip.files.atomic import replacing
from jclip.files.digests import sha256, write_tensors
from jclip.files.json_files import write_json
from jclip.text.pieces import PIECE_FILES
from jclip.text.tokenizer import Tokenizer


def save_clip(
    folder: str | os.PathLike[str],
    checkpoint: Checkpoint,
    *,
    dtype: Literal["float32", "float16", "bfloat16"] = "float32",
) -> None:
    """Write `config.json`, `model.safetensors`, `preprocessor_config.json` and the tokenizer.

    The activation written is the one in use, the dtype that of every tensor. The folder appears
    complete or not at all; its `model.safetensors` holds the digests of all that is in it
    (`jclip.files.digests`).

    Raises:
        InputError: the folder holds something, the layout cannot express the checkpoint (layer
            scale, the fit `pad`), or a value is not finite in `dtype`.
        ValueError: the network has an adapter beside its kernels, or there is no such dtype.
        TypeError: it is no checkpoint.
    """
    if not isinstance(checkpoint, Checkpoint):
        raise TypeError(
            f"checkpoint: a {type(checkpoint).__name__} where what load_checkpoint returns is "
            "meant; what jclip.load returns has it as its `checkpoint`"
        )
    folder = Path(folder)
    if dtype not in ("float32", "float16", "bfloat16"):
        raise ValueError(f"dtype: {dtype!r:.60} is none of float32, float16, bfloat16")
    if jax.tree.leaves(nnx.state(checkpoint.clip, nnx.LoRAParam)):
        raise ValueError("the network has an adapter; merge it first, or use save_adapter")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} exists and is not an empty folder")
    try:
        config = transformers_values(checkpoint.clip.config, dtype)
        preprocessing = transformers_preprocessing(checkpoint.image_config)
    except ValueError as error:
        raise InputError(f"{checkpoint.identity.name} cannot be saved: {error}") from error
    with replacing(folder) as partial:
        partial.mkdir(parents=True)
        write_json(partial / "config.json", config)
        write_json(partial / "preprocessor_config.json", preprocessing)
        _save_tokenizer(checkpoint, partial)
        written = [file for file in sorted(partial.iterdir()) if file.name in SMALL_FILES]
        beside = {file.name: sha256(file) for file in written}
        tensors = _tensors(checkpoint, jnp.dtype(dtype))
        write_tensors(partial / "model.safetensors", tensors, beside=beside)


def _tensors(checkpoint: Checkpoint, dtype: np.dtype) -> dict[str, np.ndarray]:
    flat = nnx.to_flat_state(nnx.state(checkpoint.clip, nnx.Param))
    parameters = {".".join(map(str, path)): leaf[...] for path, leaf in flat}
    tensors = {}
    for name, tensor in restore(transformers_rules(checkpoint.clip.config), parameters).items():
        with np.errstate(over="ignore"):
            tensors[name] = np.ascontiguousarray(tensor, dtype).reshape(tensor.shape)
        if not np.isfinite(tensors[name]).all():
            raise InputError(f"{checkpoint.identity.name}: {name} is not finite in {dtype}")
    return tensors


def _save_tokenizer(checkpoint: Checkpoint, folder: Path) -> None:
    """The tokenizer's files; a checkpoint that came without a tokenizer is written without one."""
    try:
        tokenizer = checkpoint.tokenizer
    except InputError:
        return
    location = checkpoint.description.location
    if isinstance(tokenizer, Tokenizer):
        tokenizer.backend.save_pretrained(folder)
    elif location is not None:
        for name in (*PIECE_FILES, "tokenizer_config.json", "special_tokens_map.json"):
            if (location.folder / name).is_file():
                shutil.copyfile(location.folder / name, folder / name)
