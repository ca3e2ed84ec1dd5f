"""LoRA adapters in the layout of the peft library, read and written without PyTorch."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from jclip.adapters.lora import (
    DenseLayer,
    LoRAConfig,
    LoRALinear,
    adapted_layers,
    dense_layers,
    map_dense_layers,
    target_paths,
)
from jclip.checkpoints.name_map import TensorRule, assign, check_tensors
from jclip.checkpoints.peft_config import CONFIG, read_peft_config
from jclip.checkpoints.peft_names import (
    INERT,
    TensorName,
    Tower,
    modules_outside,
    read_names,
    tower_of_bare_names,
    write_name,
)
from jclip.errors import InputError
from jclip.files.atomic import replacing
from jclip.files.digests import sha256, write_tensors
from jclip.files.tensors import SafetensorsTensors
from jclip.models import CLIP

AdapterLayout = Literal["transformers", "open_clip"]
"""Whose names an adapter is written under."""
_TENSORS = "adapter_model.safetensors"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adapter:
    """An adapter that was read.

    `clip` is the network with it; `sha256` is that of the file with the factors; `notices` are what
    a reader of results should know, one sentence each.
    """

    clip: CLIP
    config: LoRAConfig
    sha256: str
    notices: tuple[str, ...] = ()


def load_adapter(clip: CLIP, folder: str | os.PathLike[str]) -> Adapter:
    """Put an adapter that peft or `save_adapter` wrote into a network.

    Both towers and both libraries' names are read, whether peft wrapped the whole model or one
    tower. Blocks that the adapter leaves out stay as they are, in training too. What open_clip's
    attention bypasses (`attn.out_proj`) is kept but not applied, and a notice says so. The network
    itself is left as it is.

    Raises:
        InputError: files are missing or damaged, the configuration asks for more than plain LoRA,
            the adapter is for another architecture, or tensors are unexpected, without their
            partner, misshapen or not finite; or which tower it is of is not to be told.
        ValueError: the network has an adapter.
    """
    if adapted_layers(clip):
        raise ValueError("the network has an adapter already; merge it first")
    path = _find(Path(folder))
    config, wrapped = read_peft_config(path.with_name(CONFIG))
    tensors = SafetensorsTensors([path])
    names = _read_names(clip, path, tensors.shapes, wrapped)
    rules, parameters = _rules(clip, names, config.rank)
    factors = assign(rules, tensors, parameters, str(path))
    paths = dict.fromkeys(tensor.path for tensor in names.values())
    config = dataclasses.replace(config, targets=tuple(sorted(paths)))
    inert = {tensor.path for tensor in names.values() if tensor.inert}

    def adapt(path: str, base: DenseLayer) -> DenseLayer:
        if path not in paths or isinstance(base, LoRALinear):
            return base
        blocks, inputs, outputs = base.kernel.shape
        covered = tuple(block for block in range(blocks) if f"{path}.{block}.A" in factors)
        lora_a = np.zeros((blocks, inputs, config.rank), np.float32)
        lora_b = np.zeros((blocks, config.rank, outputs), np.float32)
        for block in covered:
            lora_a[block] = factors[f"{path}.{block}.A"]
            lora_b[block] = factors[f"{path}.{block}.B"]
        lora_a, lora_b = jnp.asarray(lora_a), jnp.asarray(lora_b)
        return LoRALinear(base, lora_a, lora_b, config=config, layers=covered, inert=path in inert)

    notice = f"open_clip never applies the LoRA of {INERT}: it is kept, but changes nothing."
    return Adapter(
        clip=map_dense_layers(clip, adapt),
        config=config,
        sha256=sha256(path),
        notices=(notice,) if inert else (),
    )


def check_adapter(clip: CLIP, folder: str | os.PathLike[str]) -> None:
    """Compare an adapter's names and shapes with a network, whose values may be abstract.

    Raises:
        InputError: see `load_adapter`, but for values that are not finite.
    """
    path = _find(Path(folder))
    config, wrapped = read_peft_config(path.with_name(CONFIG))
    shapes = SafetensorsTensors([path]).shapes
    rules, parameters = _rules(clip, _read_names(clip, path, shapes, wrapped), config.rank)
    check_tensors(rules, shapes, parameters, str(path))


def is_adapter(folder: Path) -> bool:
    """Whether `save_adapter` has come to its end here: the configuration is written last."""
    return (folder / CONFIG).exists()


def _find(folder: Path) -> Path:
    path = folder / _TENSORS
    if not path.is_file() and (folder / "adapter_model.bin").exists():
        raise InputError(
            f"{folder / 'adapter_model.bin'} is a pickle, which is not read; peft writes {_TENSORS}"
        )
    for file in (folder / CONFIG, path):
        if not file.is_file():
            raise InputError(f"{file} is missing")
    return path


def _read_names(
    clip: CLIP, path: Path, shapes: Mapping[str, tuple[int, ...]], wrapped: str | None
) -> dict[str, TensorName]:
    """What the names say; of which tower they are, where neither they nor peft do, shapes show."""
    if outside := modules_outside(shapes):
        more = f" and {len(outside) - 3} more" if len(outside) > 3 else ""
        raise InputError(
            f"{path} adapts {', '.join(outside[:3])}{more}, which is not supported: LoRA of the "
            "attention and MLP layers in the blocks of a CLIP is"
        )
    bare = tower_of_bare_names(shapes, wrapped)
    towers: tuple[Tower, ...] = ("image_tower", "text_tower") if bare is None else (bare,)
    try:
        read = [read_names(shapes, tower) for tower in towers]
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    if not read[0]:
        some = ", ".join(list(shapes)[:3]) or "it is empty"
        raise InputError(f"{path} holds no LoRA of a CLIP: {some} ({len(shapes)} tensors)")
    problems = [_differences(clip, names, shapes) for names in read]
    fitting = [names for names, found in zip(read, problems, strict=True) if not found]
    if len(fitting) > 1:
        raise InputError(
            f"{path} does not say of which tower it is, and it fits both: auto_mapping in "
            f"{CONFIG} can say so, as in {{'base_model_class': 'CLIPTextModel'}}"
        )
    if not fitting:
        raise InputError(f"{path} is for another architecture: {'; '.join(problems[0][:4])}")
    return fitting[0]


def _differences(
    clip: CLIP, names: Mapping[str, TensorName], shapes: Mapping[str, tuple[int, ...]]
) -> list[str]:
    """What shows that an adapter is for another network, and not damaged: there, nothing fits."""
    kernels = {target: layer.kernel.shape for target, layer in dense_layers(clip).items()}
    problems: dict[str, None] = {}
    for target in dict.fromkeys(tensor.path for tensor in names.values()):
        blocks, *sides = kernels[target]
        of_target = {name: tensor for name, tensor in names.items() if tensor.path == target}
        last = max(tensor.block for tensor in of_target.values())
        if last >= blocks:
            tower = target.split(".")[0]
            problems[f"block {last} of the {tower}, which has {blocks} blocks"] = None
        # A is stored as [rank, inputs], B as [outputs, rank].
        for factor, axis, side in (("A", -1, sides[0]), ("B", 0, sides[1])):
            found = {
                shapes[n][axis] for n, t in of_target.items() if t.factor == factor and shapes[n]
            }
            if found and side not in found:
                problems[f"width {min(found)} where {target} has {side}"] = None
    return list(problems)


def _rules(
    clip: CLIP, names: Mapping[str, TensorName], rank: int
) -> tuple[list[TensorRule], dict[str, jax.ShapeDtypeStruct]]:
    """How `assign` fills `PATH.BLOCK.A` [I, R] and `PATH.BLOCK.B` [R, O]: each has its partner."""
    layers = dense_layers(clip)
    rules, parameters = [], {}
    for name, tensor in names.items():
        _, inputs, outputs = layers[tensor.path].kernel.shape
        for factor, shape in (("A", (inputs, rank)), ("B", (rank, outputs))):
            source = name.replace(f".lora_{tensor.factor}.", f".lora_{factor}.")
            target = f"{tensor.path}.{tensor.block}.{factor}"
            # The same factor under a second name has no rule, which makes it unexpected.
            if target not in parameters:
                rules.append(TensorRule(source, target, "transposed"))
                parameters[target] = jax.ShapeDtypeStruct(shape, jnp.float32)
    return rules, parameters


def check_layout(config: LoRAConfig, layout: AdapterLayout) -> None:
    """Refuse, before it is trained, an adapter that a layout has no names for.

    Raises:
        InputError: the layout is open_clip's, and a target is in its attention or its text tower.
    """
    for path in target_paths(config):
        write_name(path, 0, layout, inert=False)


def save_adapter(
    clip: CLIP,
    folder: str | os.PathLike[str],
    *,
    layout: AdapterLayout = "transformers",
    base_model_name: str | None = None,
) -> None:
    """Write a network's adapter as peft does: `adapter_config.json`, `adapter_model.safetensors`.

    peft loads `transformers` on a `CLIPModel`, and `open_clip` on the `visual` of an open_clip
    model, which is what paper 1 wraps. The factors are in float32; their file holds the digests of
    both. Inert factors are written to `open_clip` only: in transformers they would act.
    `base_model_name` is where peft finds the network itself, such as a hub id.

    Raises:
        InputError: the folder holds an adapter, a factor is not finite, or open_clip cannot express
            the adapter (attention, the text tower).
        ValueError: the network has no adapter, or nothing but inert factors are left to write.
    """
    folder = Path(folder)
    if is_adapter(folder):
        raise InputError(f"{folder} holds an adapter already")
    layers = adapted_layers(clip)
    if layout == "transformers":
        layers = {path: layer for path, layer in layers.items() if not layer.inert}
    if not layers:
        raise ValueError("the network has no adapter to be saved")
    tensors: dict[str, np.ndarray] = {}
    modules = []
    for path, layer in layers.items():
        for block in layer.layers:
            modules.append(write_name(path, block, layout, inert=layer.inert))
            for letter, factor in (("A", layer.lora_a[...]), ("B", layer.lora_b[...])):
                name = f"base_model.model.{modules[-1]}.lora_{letter}.weight"
                tensors[name] = np.ascontiguousarray(np.asarray(factor[block], np.float32).T)
                if not np.isfinite(tensors[name]).all():
                    raise InputError(f"the adapter is not saved: {name} is not finite")
    values = _config_values(next(iter(layers.values())).config, modules, layout, base_model_name)
    config = (json.dumps(values, indent=2) + "\n").encode()
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / _TENSORS) as partial:
        write_tensors(partial, tensors, beside={CONFIG: hashlib.sha256(config).hexdigest()})
    # Last, since without it there is no adapter: stopped midway, saving can be repeated.
    with replacing(folder / CONFIG) as partial:
        partial.write_bytes(config)


def _config_values(
    config: LoRAConfig, modules: list[str], layout: str, base_model_name: str | None
) -> dict[str, Any]:
    """What `adapter_config.json` holds: the fields that every version of peft knows."""
    whole = {"base_model_class": "CLIPModel", "parent_library": "transformers"}
    tower = {"base_model_class": "VisionTransformer", "parent_library": "open_clip.transformer"}
    return {
        "peft_type": "LORA",
        "task_type": None,
        "auto_mapping": whole if layout == "transformers" else tower,
        "base_model_name_or_path": base_model_name,
        "revision": None,
        "inference_mode": True,
        "r": config.rank,
        "lora_alpha": int(config.alpha) if config.alpha.is_integer() else config.alpha,
        "lora_dropout": config.dropout,
        "use_rslora": config.use_rslora,
        "use_dora": False,
        # Whole names: short ones would match modules of the other tower too.
        "target_modules": modules,
        "modules_to_save": None,
        "bias": "none",
        "fan_in_fan_out": False,
        "init_lora_weights": True,
        "layers_to_transform": None,
        "layers_pattern": None,
        "rank_pattern": {},
        "alpha_pattern": {},
    }
