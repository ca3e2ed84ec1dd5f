"""Do the networks embed on this device as the libraries do that they come from?"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from jclip.checkpoints import load_checkpoint
from jclip.errors import InputError
from jclip.models.unit_norm import normalised

GOLDENS = Path(__file__).parents[2] / "tests" / "golden"
TOLERANCE = 1e-5
# One of every family.
NAMES = (
    "hf_full",
    "open_clip_layer_scale",
    "siglip2_fixed",
    "metaclip_2",
    "open_clip_clipa",
    "open_clip_siglip2",
    "open_clip_pe_core",
    "open_clip_eva02",
)


def known_goldens(folder: Path) -> dict[str, dict[str, np.ndarray]]:
    """Pixels, token ids and both embeddings of the small checkpoints.

    Raises:
        InputError: they are not there.
    """
    found = {}
    for name in NAMES:
        try:
            with np.load(folder / name / "expected.npz") as file:
                found[name] = {kind: file[kind] for kind in _KINDS}
        except FileNotFoundError:
            raise InputError(
                f"{folder / name}: no golden there; run this in a checkout of the repository"
            ) from None
    return found


_KINDS = ("pixels", "input_ids", "image_embeds", "text_embeds")


def parity_rows(name: str, wanted: dict[str, np.ndarray], folder: Path) -> Iterator[dict[str, Any]]:
    """Largest deviations of one golden.

    In float32, by full-precision products, those of embeddings as the library gives them; in
    bfloat16 those of the normalised ones.
    """
    for precision in ("float32", "bfloat16"):
        image, text = _embedded(folder / name, wanted, precision)
        pairs = [(image, wanted["image_embeds"]), (text, wanted["text_embeds"])]
        if precision == "bfloat16":
            pairs = [(normalised(a), normalised(jnp.asarray(b))) for a, b in pairs]
        value = max(float(jnp.abs(found - library).max()) for found, library in pairs)
        yield {"what": name, "precision": precision, "value": value, "unit": "largest deviation"}


def _embedded(
    folder: Path, arrays: dict[str, np.ndarray], precision: str
) -> tuple[Float[Array, "n e"], Float[Array, "m e"]]:
    graph, state = nnx.split(load_checkpoint(str(folder), dtype=jnp.dtype(precision)).clip)

    @jax.jit
    def embed(state, pixels, ids):
        clip = nnx.merge(graph, state)
        return clip.encode_image(pixels), clip.encode_text(ids)

    pixels = arrays["pixels"].transpose(0, 2, 3, 1)
    with jax.default_matmul_precision("highest"):
        return embed(state, pixels, arrays["input_ids"].astype(np.int32))
