"""New heads."""

from typing import Literal

from flax import nnx

from jclip.errors import InputError
from jclip.heads.attention import AttentionHead
from jclip.heads.configuration import HeadConfig
from jclip.heads.linear import LinearHead
from jclip.heads.mlp import MLPHead

Head = LinearHead | MLPHead | AttentionHead
Initialisation = Literal["pytorch", "identity"]


def create_head(
    config: HeadConfig, rngs: nnx.Rngs, initialisation: Initialisation = "pytorch"
) -> Head:
    """A head that has not been trained.

    Args:
        config: what it is.
        rngs: where its parameters come from.
        initialisation: `pytorch` draws them as the layers of the paper's code do; `identity` scores
            as without a head, exactly for linear heads and within 1e-4 for MLPs.

    Raises:
        InputError: an attention head, or an MLP without cosines, as the identity.
    """
    identity = initialisation == "identity"
    if config.kind == "attention":
        if identity:
            raise InputError("an attention head cannot start as the identity")
        return AttentionHead(config, rngs)
    if config.kind == "mlp":
        return MLPHead(config, rngs, identity=identity)
    return LinearHead(config, rngs, identity=identity)
