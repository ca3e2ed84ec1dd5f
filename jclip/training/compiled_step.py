"""A training step as one compiled program."""

from collections.abc import Callable
from typing import Any

import jax


def compiled_step(train_step: Callable[[Any, Any, Any], Any], state: Any) -> Any:
    """The step under jit: it consumes the state it is given, and leaves the next in its place.

    Args:
        train_step: (state, frozen, batch) -> (state, metrics), from `make_train_step`.
        state: says where its arrays are; `jax.ShapeDtypeStruct`s with shardings will do.
    """
    placement = jax.tree.map(lambda leaf: leaf.sharding, state)
    return jax.jit(train_step, donate_argnums=0, out_shardings=(placement, None))
