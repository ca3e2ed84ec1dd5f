"""Networks with values in them: read from files, or drawn at random."""

from typing import Any

import jax
import numpy as np
from flax import nnx

from jclip.checkpoints import open_clip, transformers
from jclip.checkpoints.locate import Location
from jclip.checkpoints.name_map import assign
from jclip.checkpoints.weights import open_weights
from jclip.models import CLIP, CLIPConfig

_CONSTANTS = {"bias": 0.0, "scale": 1.0, "logit_scale": np.log(1 / 0.07)}


def _parameters(config: CLIPConfig, dtype) -> tuple[nnx.GraphDef, dict[tuple, Any], dict[str, Any]]:
    """The network without values: its graph, its parameters by path, and by path joined by dots."""
    abstract = nnx.eval_shape(lambda: CLIP(config, dtype=dtype, rngs=nnx.Rngs(0)))
    graph, state = nnx.split(abstract)
    flat = dict(nnx.to_flat_state(state))
    return graph, flat, {".".join(map(str, path)): leaf.get_value() for path, leaf in flat.items()}


def _merge(graph: nnx.GraphDef, flat: dict[tuple, Any], values: dict[str, jax.Array]) -> CLIP:
    filled = [(path, leaf.replace(values[".".join(map(str, path))])) for path, leaf in flat.items()]
    return nnx.merge(graph, nnx.from_flat_state(filled))


def random_clip(config: CLIPConfig, dtype) -> CLIP:
    """An untrained network: the same values on every device and in every dtype, but for rounding.

    Drawn on the host, as compiling the initialisers takes longer than drawing all values.
    """
    graph, flat, parameters = _parameters(config, dtype)
    generator = np.random.default_rng(0)
    values = {}
    for name, leaf in parameters.items():
        value = generator.standard_normal(leaf.shape, np.float32)
        if name.endswith("kernel"):
            value *= leaf.shape[-2] ** -0.5
        elif name.endswith("embedding"):
            value *= 0.02
        else:
            value = np.full(leaf.shape, _CONSTANTS[name.split(".")[-1]], np.float32)
        values[name] = jax.device_put(value.astype(leaf.dtype))
    return _merge(graph, flat, values)


def read_clip(config: CLIPConfig, location: Location, dtype) -> tuple[CLIP, dict[str, str]]:
    """The network of a checkpoint, and the SHA-256 of each file it was read from.

    Raises:
        InputError: the files cannot be fetched, are damaged, or hold something else.
    """
    tensors, digests = open_weights(location)
    rules = transformers.RULES
    if location.layout == "open_clip":
        rules = open_clip.rules_for(tensors.shapes)
    graph, flat, parameters = _parameters(config, dtype)
    return _merge(graph, flat, assign(rules, tensors, parameters, location.source)), digests
