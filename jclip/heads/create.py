"""New heads."""

from typing import Literal

from flax import nnx

from jclip.errors import InputError
from jclip.heads.attention import AttentionHead
from jclip.heads.configuration import HeadConfig
from jclip.heads.maps import Affine, TanhLayers
from jclip.heads.scoring import EmbeddingHead

Head = EmbeddingHead | AttentionHead
Initialisation = Literal["pytorch", "identity"]


def create_head(
    config: HeadConfig, rngs: nnx.Rngs, initialisation: Initialisation = "pytorch"
) -> Head:
    """A head that has not been trained.

    A linear head is an affine map of image embeddings, of text embeddings, or of both; an MLP has
    affine - tanh - affine - tanh for each (paper 2, heads).

    Args:
        config: what it is.
        rngs: where its parameters come from.
        initialisation: `pytorch` draws them as the layers of the paper's code do; `identity` scores
            as without a head, exactly for linear heads and within 1e-4 for MLPs.

    Raises:
        InputError: an attention head, or an MLP without cosines, as the identity.
    """
    kind, size, identity = config.kind, config.size, initialisation == "identity"
    if kind == "attention":
        if identity:
            raise InputError("an attention head cannot start as the identity")
        return AttentionHead(config, rngs)
    if kind == "mlp":
        if identity and not config.compares_directions:
            raise InputError(
                f"an MLP head with the score {config.score_function} cannot start as the identity"
            )
        maps = [TanhLayers(size, rngs, identity=identity) for _ in range(2)]
    else:
        start = 1.0 if identity else None
        maps = [
            None if kind == other else Affine(size, size, rngs, identity=start)
            for other in ("linear_text", "linear_visual")
        ]
    return EmbeddingHead(config, *maps)
