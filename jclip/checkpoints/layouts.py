"""Which reader and which table of names a checkpoint's files are for."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jclip.checkpoints import fgclip, open_clip, siglip, transformers
from jclip.checkpoints.causes import common_prefix
from jclip.checkpoints.location import CONFIG_FILES, PREPROCESSING, Location
from jclip.checkpoints.name_map import TensorRule
from jclip.checkpoints.preprocessing import (
    ImageConfig,
    read_open_clip_preprocessing,
    read_transformers_preprocessing,
)
from jclip.checkpoints.unsupported import object_in
from jclip.errors import InputError
from jclip.files.json_files import read_json
from jclip.files.tensors import SafetensorsTensors
from jclip.images import Patches, Size
from jclip.models import CLIPConfig
from jclip.text.formats import (
    CLIP_TEXTS,
    METACLIP2_TEXTS,
    NAFLEX_TEXTS,
    SIGLIP2_TEXTS,
    SIGLIP_TEXTS,
    TextFormat,
)

Shapes = Mapping[str, tuple[int, ...]]


class Described(NamedTuple):
    """What a checkpoint's small files say; `images` is None where they say nothing of them."""

    config: CLIPConfig
    images: ImageConfig | None
    texts: TextFormat


def tower_size(config: CLIPConfig) -> Size:
    """What the image tower takes; where that is every shape, patches of its usual budget."""
    vision = config.vision
    return Patches(vision.patch_size, vision.tokens) if vision.flexible else vision.image_size


def describe_files(location: Location) -> Described:
    """Read a checkpoint's configuration, and hold it against its tensors where they are here.

    Raises:
        InputError: it describes what is not supported, or contradicts a tensor.
    """
    location.require(*PREPROCESSING)
    path = location.folder / CONFIG_FILES[location.layout]
    return (_open_clip if location.layout == "open_clip" else _transformers)(path, location)


def _shapes(location: Location) -> Shapes | None:
    """Those of the tensors, if they need not be downloaded or unpickled for that."""
    paths = [location.folder / name for name in location.weights]
    if location.pickled or not all(path.is_file() for path in paths):
        return None
    shapes = SafetensorsTensors(paths).shapes
    prefix = common_prefix(shapes) or ""
    return {name.removeprefix(prefix): shape for name, shape in shapes.items()}


def _open_clip(path: Path, location: Location) -> Described:
    values = read_json(path)
    network = values.get("model_cfg")
    if not isinstance(network, dict):
        raise InputError(f"{path} holds no model_cfg")
    trunk = object_in(network, "vision_cfg").get("timm_model_name")
    config = open_clip.read_config(network, str(path), _shapes(location) if trunk else None)
    texts = open_clip.text_format(object_in(network, "text_cfg"), str(path))
    preprocessing = values.get("preprocess_cfg")
    if not preprocessing:
        return Described(config, None, texts)
    size = config.vision.image_size
    return Described(config, read_open_clip_preprocessing(preprocessing, size, str(path)), texts)


def _transformers(path: Path, location: Location) -> Described:
    values = read_json(path)
    kind, texts = values.get("model_type"), CLIP_TEXTS
    if kind in ("siglip", "siglip2", "fgclip2"):
        config = siglip.read_config(values, str(path), _shapes(location))
        texts = _siglip_texts(location, config)
    elif fgclip.is_fgclip(values):
        config = fgclip.read_config(values, str(path))
    else:
        config = transformers.read_config(values, str(path))
        texts = METACLIP2_TEXTS if kind == transformers.METACLIP_2 else CLIP_TEXTS
    images = read_transformers_preprocessing(
        path.parent, tower_size(config), square=config.logit_bias
    )
    if images is not None and fgclip.is_fgclip(values):
        # The authors' code squashes pictures before the processor sees them.
        images = dataclasses.replace(images, fit="squash")
    return Described(config, images, texts)


def _siglip_texts(location: Location, config: CLIPConfig) -> TextFormat:
    """Of a SigLIP of fixed size, the generation shows in the tokenizer: 2 has Gemma's."""
    if config.vision.flexible:
        return NAFLEX_TEXTS
    path = location.folder / "tokenizer_config.json"
    kind = read_json(path).get("tokenizer_class") if path.is_file() else None
    return SIGLIP2_TEXTS if "Gemma" in str(kind) else SIGLIP_TEXTS


def rules_for(
    location: Location, config: CLIPConfig, names: Collection[str]
) -> Sequence[TensorRule]:
    """What every tensor of a checkpoint becomes, of which all names are given."""
    if location.layout == "open_clip":
        return open_clip.rules_for(names)
    return transformers_rules(config)


def transformers_rules(config: CLIPConfig) -> Sequence[TensorRule]:
    """What every tensor of the transformers layout becomes."""
    if config.logit_bias:
        return siglip.rules_for(config)
    return fgclip.RULES if config.text.long is not None else transformers.RULES


def transformers_values(config: CLIPConfig, dtype: str) -> dict[str, Any]:
    """What `config.json` holds for a network; `dtype` is that of the stored weights.

    Raises:
        ValueError: the network has what that library cannot express.
    """
    return (siglip if config.logit_bias else transformers).config_values(config, dtype)
