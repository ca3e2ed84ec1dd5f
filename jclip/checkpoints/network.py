"""Networks with values in them: read from files, or drawn at random."""

from collections.abc import Mapping

import jax
import numpy as np
from flax import nnx

from jclip.checkpoints.layouts import rules_for
from jclip.checkpoints.locate import Location
from jclip.checkpoints.name_map import assign, filled_module
from jclip.checkpoints.weights import open_weights
from jclip.models import CLIP, CLIPConfig

_CONSTANTS = {"bias": 0.0, "scale": 1.0, "logit_scale": np.log(1 / 0.07), "logit_bias": -10.0}


def random_clip(config: CLIPConfig, dtype) -> CLIP:
    """An untrained network: the same values on every device and in every dtype, but for rounding.

    Drawn on the host, as compiling the initialisers takes longer than drawing all values.
    """
    return filled_module(lambda: CLIP(config, dtype=dtype, rngs=nnx.Rngs(0)), _random_values)


def _random_values(parameters: Mapping[str, jax.ShapeDtypeStruct]) -> dict[str, jax.Array]:
    generator = np.random.default_rng(0)
    values = {}
    for name, leaf in parameters.items():
        value = generator.standard_normal(leaf.shape, np.float32)
        if name.endswith("kernel"):
            value *= leaf.shape[-2] ** -0.5
        elif name.endswith("embedding"):
            value *= 0.02
        elif name.endswith("probe"):
            pass
        else:
            value = np.full(leaf.shape, _CONSTANTS[name.split(".")[-1]], np.float32)
        values[name] = jax.device_put(value.astype(leaf.dtype))
    return values


def read_clip(config: CLIPConfig, location: Location, dtype) -> tuple[CLIP, dict[str, str]]:
    """The network of a checkpoint, and the SHA-256 of each file it was read from.

    Raises:
        InputError: the files cannot be fetched, are damaged, or hold something else.
    """
    tensors, digests = open_weights(location)
    rules = rules_for(location, config, tensors.shapes)
    clip = filled_module(
        lambda: CLIP(config, dtype=dtype, rngs=nnx.Rngs(0)),
        lambda parameters: assign(rules, tensors, parameters, location.source),
    )
    return clip, digests
