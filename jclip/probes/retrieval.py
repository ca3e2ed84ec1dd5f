"""Right caption among others: retrieval within groups of image and caption pairs."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

__all__ = ["right_caption_share"]


def right_caption_share(
    images: Float[Array, "n e"], texts: Float[Array, "n e"], among: int
) -> float:
    """Share of images whose own caption scores highest among `among` captions.

    Row i of each matrix belongs to row i of the other; both normalised. Consecutive rows make
    groups of `among`, and rows that do not fill a group are left out. A caption that ties with the
    right one counts against it.

    Raises:
        ValueError: there are fewer rows than a group needs.
    """
    groups = len(images) // among
    if groups == 0:
        raise ValueError(f"{len(images)} pairs make no group of {among}")
    kept = groups * among
    a, b = (x[:kept].reshape(groups, among, -1) for x in (images, texts))
    scores = np.asarray(jnp.einsum("gie,gje->gij", a, b, precision="highest"))
    right = np.diagonal(scores, axis1=1, axis2=2)
    return float(np.mean((scores >= right[:, :, None]).sum(axis=2) == 1))
