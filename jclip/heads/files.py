"""Heads as files, in the layout of the published ones."""

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
from flax import nnx

from jclip.checkpoints.name_map import (
    TensorRule,
    TensorSource,
    assign,
    filled_module,
    linear_rules,
    restore,
)
from jclip.errors import InputError
from jclip.files.atomic import replacing
from jclip.files.digests import write_tensors
from jclip.files.tensors import PickledTensors, SafetensorsTensors, UnwrappedTensors
from jclip.heads.configuration import HeadConfig, HeadKind, ScoreFunction
from jclip.heads.create import Head, create_head

_METADATA = "jclip.head"
_LINEAR, _SECOND = "linear_layers.{}.0", "linear_layers.{}.1"


def _rules(kind: HeadKind) -> list[TensorRule]:
    """The names of the paper's code; PyTorch keeps a kernel as [outputs, inputs]."""
    if kind == "attention":
        attention = "attention_layers.0"
        return [
            *linear_rules("cls_linear", "cls"),
            TensorRule(f"{attention}.in_proj_weight", "in_projection.kernel", "transposed"),
            TensorRule(f"{attention}.in_proj_bias", "in_projection.bias"),
            *linear_rules(f"{attention}.out_proj", "out_projection"),
        ]
    rules = [TensorRule("log_scale", "log_scale")]
    for number, modality in enumerate(("visual", "text")):
        if kind == "mlp":
            rules += linear_rules(_LINEAR.format(number), f"{modality}.first")
            rules += linear_rules(_SECOND.format(number), f"{modality}.second")
        elif kind in ("linear", f"linear_{modality}"):
            rules += linear_rules(_LINEAR.format(number), modality)
    return rules


def load_head(path: str | os.PathLike[str], *, allow_pickle: bool = False) -> Head:
    """Read a head that `save_head` or the paper's code wrote.

    Its kind and size are seen from its tensors. What they do not say, published files do not
    either: the score is then the sigmoid of the cosine, and an attention head has 64 heads.

    Args:
        path: `.safetensors`, or `.pt` and `.pth`.
        allow_pickle: read `.pt` and `.pth` too, through torch with `weights_only`.

    Raises:
        InputError: the file is missing, damaged, a pickle that is not allowed, or holds no head;
            tensors are missing, unexpected, misshapen or not finite (all are named).
    """
    path = Path(path)
    tensors = _open(path, allow_pickle)
    metadata = _read_metadata(path, tensors)
    config = _read_config(path, tensors, metadata)
    return filled_module(
        lambda: create_head(config, nnx.Rngs(0)),
        lambda parameters: assign(_rules(config.kind), tensors, parameters, str(path)),
    )


def save_head(
    head: Head, path: str | os.PathLike[str], *, base: Mapping[str, Any] | None = None
) -> None:
    """Write a head as safetensors, under the names of the paper's code.

    The metadata hold what the tensors do not show: the score function, the number of attention
    heads, that there is no dropout, and the base; and a digest of everything.

    Args:
        head: what to write.
        path: ends in `.safetensors`; replaced if it exists.
        base: JSON: the identity of the checkpoint whose embeddings the head was trained on.

    Raises:
        InputError: a tensor is not finite.
        ValueError: the path ends otherwise.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"{path}: heads are written as .safetensors")
    flat = nnx.to_flat_state(nnx.state(head, nnx.Param))
    parameters = {".".join(map(str, key)): leaf[...] for key, leaf in flat}
    rules = [rule for rule in _rules(head.config.kind) if rule.targets[0] in parameters]
    restored = restore(rules, parameters)
    tensors = {name: np.array(value, order="C") for name, value in restored.items()}
    if broken := [name for name, value in tensors.items() if not np.isfinite(value).all()]:
        raise InputError(f"the head is not saved: {', '.join(broken)} not finite")
    about = {"dropout": None, "base": base and dict(base)}
    metadata = dataclasses.asdict(head.config) | about
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        write_tensors(partial, tensors, metadata={_METADATA: json.dumps(metadata)})


def head_base(path: str | os.PathLike[str]) -> Mapping[str, Any] | None:
    """The identity of the checkpoint whose embeddings a head was trained on, if its file says so.

    Raises:
        InputError: the file is missing or damaged.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        return None
    return _read_metadata(path, SafetensorsTensors([path])).get("base")


def require_base(path: Path, base: Mapping[str, Any]) -> None:
    """Refuse a head for features of another base; published heads do not say theirs.

    Weights count, not names: the same checkpoint in two folders is one model.

    Raises:
        InputError: naming both models.
    """
    own = head_base(path)
    if own is None:
        return
    models = own["model"], base["model"]
    if models[0].get("weights") != models[1].get("weights"):
        names = [model.get("name") for model in models]
        raise InputError(f"{path} was trained on features of {names[0]}, and these are {names[1]}")


def _open(path: Path, allow_pickle: bool) -> TensorSource:
    if not path.is_file():
        raise InputError(f"{path} is no file")
    if path.suffix == ".safetensors":
        return SafetensorsTensors([path])
    if path.suffix not in (".pt", ".pth"):
        raise InputError(f"{path}: heads are .safetensors, .pt or .pth")
    if not allow_pickle:
        raise InputError(f"{path} is a pickle, which is read only where pickles are allowed")
    tensors = PickledTensors([path])
    # Saved while training on several devices.
    wrapped = all(name.startswith("module.") for name in tensors.shapes)
    return UnwrappedTensors(tensors, "module.") if wrapped else tensors


def _read_metadata(path: Path, tensors: TensorSource) -> dict[str, Any]:
    """What `save_head` wrote beside the tensors; empty for other files."""
    if not isinstance(tensors, SafetensorsTensors):
        return {}
    try:
        return dict(json.loads(tensors.metadata.get(_METADATA, "{}")))
    except (TypeError, ValueError, RecursionError):
        raise InputError(f"{path} is damaged: its metadata {_METADATA} cannot be read") from None


def _read_config(path: Path, tensors: TensorSource, metadata: Mapping[str, Any]) -> HeadConfig:
    """Kind and size as the tensors show them, the rest as the metadata say."""
    shapes = tensors.shapes
    kind: HeadKind | None = None
    present = [f"{_LINEAR.format(number)}.weight" in shapes for number in (0, 1)]
    if "attention_layers.0.in_proj_weight" in shapes:
        kind, widest = "attention", shapes["attention_layers.0.in_proj_weight"]
    elif any(f"{_SECOND.format(number)}.weight" in shapes for number in (0, 1)):
        kind, widest = "mlp", shapes.get(f"{_LINEAR.format(0)}.weight", ())
    elif any(present):
        kind = "linear" if all(present) else "linear_visual" if present[0] else "linear_text"
        widest = shapes[f"{_LINEAR.format(present.index(True))}.weight"]
    if kind is None:
        raise InputError(f"{path} holds no head: {', '.join(shapes) or 'it is empty'}")
    if len(widest) != 2:
        raise InputError(f"{path}: the first map of a {kind} head has shape {widest}")
    names = metadata.keys() & {"score_function", "learned_scale", "attention_heads"}
    settings = {name: metadata[name] for name in names}
    if (score := settings.get("score_function")) not in (None, *get_args(ScoreFunction)):
        raise InputError(f"{path}: score function {score!r} is not known")
    return HeadConfig(kind, widest[1], **settings)
