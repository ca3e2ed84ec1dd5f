"""Checkpoints of OWL-ViT and OWLv2 in the layout of the transformers library."""

import dataclasses
import itertools
import os
from pathlib import Path
from typing import Any, Literal

import jax.numpy as jnp
from flax import nnx

from jclip.checkpoints import transformers
from jclip.checkpoints.description import Description, Loaded, identify
from jclip.checkpoints.locate import locate
from jclip.checkpoints.location import PREPROCESSING
from jclip.checkpoints.name_map import TensorRule, linear_rules, norm_rules
from jclip.checkpoints.network import read_network
from jclip.checkpoints.preprocessing import (
    IGNORED_BY_PROCESSORS,
    channels_of,
    processor_fields,
    read_transformers_preprocessing,
    take_size,
)
from jclip.errors import InputError
from jclip.files.json_fields import Fields
from jclip.files.json_files import read_json
from jclip.images import CLIP_MEAN, CLIP_STD
from jclip.images.owl_preprocess import DetectorImages
from jclip.models.owl import OWL, OWLConfig

Kind = Literal["owlvit", "owlv2"]

_PATCH_SIZES: dict[Kind, int] = {"owlvit": 32, "owlv2": 16}


class DetectorDescription(Description[OWLConfig, DetectorImages]):
    """All of a detector's checkpoint but its weights."""


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class DetectorCheckpoint(Loaded[DetectorImages]):
    """A detector ready to use: its parameters are on the default device."""

    detector: OWL
    description: DetectorDescription


def describe_detector(
    source: str | os.PathLike[str], *, allow_pickle: bool = False
) -> DetectorDescription:
    """Find a detector and check its configuration; no weights are read or downloaded.

    The source is a folder or a hub id, such as `google/owlv2-base-patch16`. With `allow_pickle`
    weights may come from `.bin` or `.pt` files.

    Raises:
        InputError: there is no such checkpoint, or it describes what is not supported.
    """
    location = locate(os.fspath(source), allow_pickle=allow_pickle)
    if location.layout != "transformers":
        raise InputError(f"{source}: detectors are read from config.json, which is not there")
    path = location.folder / "config.json"
    kind, config = _read_config(read_json(path), str(path))
    size, notices = config.vision.image_size, list(location.notices)
    location.require(*PREPROCESSING)
    images = _read_images(kind, location.folder, size)
    if images is None:
        images = DetectorImages(size=size, mean=CLIP_MEAN, std=CLIP_STD, padded=kind == "owlv2")
        notices.append(
            f"{location.folder} does not say how images are prepared: {kind}'s way is taken."
        )
    return DetectorDescription(
        config=config,
        image_config=images,
        identity=identify(location, config, notices),
        location=location,
    )


def load_detector(
    source: str | os.PathLike[str] | DetectorDescription, *, dtype=jnp.float32
) -> DetectorCheckpoint:
    """Load OWL-ViT or OWLv2, from what `describe_detector` takes or from what it returned.

    The dense kernels are of `dtype`; all other parameters are float32.

    Raises:
        InputError: there is no such checkpoint, it describes what is not supported, or its weights
            are not those of the network it describes (every such tensor is named).
    """
    if not isinstance(source, DetectorDescription):
        source = describe_detector(source)
    config = source.config
    if source.location is None:
        raise ValueError("a detector is read from files")
    detector, identity = read_network(
        lambda: OWL(config, dtype=dtype, rngs=nnx.Rngs(0)),
        lambda names: rules_for("owlv2" if config.objectness else "owlvit"),
        source.location,
        source.identity,
    )
    description = dataclasses.replace(source, identity=identity)
    return DetectorCheckpoint(detector=detector, description=description)


def _read_config(values: dict[str, Any], file: str) -> tuple[Kind, OWLConfig]:
    """Which of the two it is, and its network: towers of CLIP with other defaults."""
    kind = values.get("model_type")
    if not isinstance(kind, str) or kind not in _PATCH_SIZES:
        raise InputError(
            f"{file} describes no detector: model_type = {kind!r:.60} (supported: owlvit, owlv2)"
        )
    defaults = {
        # The library pools texts at the largest id, which is what 2 stands for in CLIP's configs.
        "text": ({"max_position_embeddings": 16}, {"eos_token_id": 2}),
        "vision": ({"image_size": 768, "patch_size": _PATCH_SIZES[kind]}, {}),
    }
    as_clip = values | {"model_type": "clip"}
    for name, (missing, settled) in defaults.items():
        tower = Fields(values).take(f"{name}_config", {})
        tower = {field: value for field, value in tower.items() if value is not None}
        if tower.pop("model_type", own := f"{kind}_{name}_model") != own:
            raise InputError(f"{file}: {name}_config.model_type is not {own}")
        as_clip[f"{name}_config"] = missing | tower | settled
        # Written by old versions beside the object itself, and not read for detectors.
        as_clip.pop(f"{name}_config_dict", None)
    clip = transformers.read_config(as_clip, file)
    if clip.embedding_width != clip.text.width:
        raise InputError(
            f"{file} describes what is not supported: projection_dim = {clip.embedding_width} "
            f"(text_config.hidden_size is {clip.text.width}, and the class head compares both)"
        )
    return kind, OWLConfig(**vars(clip), objectness=kind == "owlv2")


def _read_images(kind: Kind, folder: Path, size: int) -> DetectorImages | None:
    """`preprocessor_config.json` or `processor_config.json`; None if there is neither."""
    if kind == "owlv2":
        path, fields = processor_fields(folder)
        return None if fields is None else _read_owlv2_images(fields, size, str(path))
    config = read_transformers_preprocessing(folder, size, square=True)
    if config is None:
        return None
    if (config.fit, config.interpolation) != ("squash", "bicubic"):
        raise InputError(
            f"{folder} prepares images by {config.fit} and {config.interpolation}; OWL-ViT is "
            "supported with a square `size` and bicubic resizing"
        )
    return DetectorImages(size=size, mean=config.mean, std=config.std, padded=False)


def _read_owlv2_images(fields: Fields, size: int, file: str) -> DetectorImages:
    take_size(fields, "size", size, ("one number", "two sides"))
    for step in ("do_resize", "do_rescale", "do_normalize", "do_pad", "do_convert_rgb"):
        fields.only(step, True)
    fields.only("rescale_factor", 1 / 255, 0.00392156862745098)
    # The library resizes bilinearly whatever this says.
    fields.only("resample", 2)
    fields.only("do_center_crop", False)
    mean = channels_of(fields, "image_mean", CLIP_MEAN)
    std = channels_of(fields, "image_std", CLIP_STD)
    fields.ignore("crop_size", "pad_size", "default_to_square", *IGNORED_BY_PROCESSORS)
    fields.finish()
    fields.raise_problems(file)
    return DetectorImages(size=size, mean=mean, std=std, padded=True)


def rules_for(kind: Kind) -> list[TensorRule]:
    """What every tensor of the layout becomes: CLIP's rules under other names, and the heads'."""
    towers = [
        dataclasses.replace(
            rule,
            source=f"{kind}.{rule.source.replace('pre_layrnorm', 'pre_layernorm')}",
            target=f"clip.{rule.target}" if rule.target else (),
        )
        for rule in transformers.RULES
    ]
    return [
        *towers,
        *norm_rules("layer_norm", "patch_norm"),
        *linear_rules("class_head.dense0", "class_head.embedding"),
        *linear_rules("class_head.logit_shift", "class_head.shift"),
        *linear_rules("class_head.logit_scale", "class_head.scale"),
        *itertools.chain.from_iterable(
            linear_rules(f"{head}.dense{number}", f"{head}.{layer}")
            for head in ("box_head", "objectness_head")
            for number, layer in enumerate(("first", "second", "last"))
        ),
    ]
