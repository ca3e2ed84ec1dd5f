"""What a re-projection head is, apart from its weights."""

import dataclasses
from typing import Literal

from jclip.errors import InputError

HeadKind = Literal["linear", "linear_visual", "linear_text", "mlp", "attention"]
ScoreFunction = Literal["sigmoid_cosine", "cosine", "sigmoid_dot", "dot"]


@dataclasses.dataclass(frozen=True)
class HeadConfig:
    """A head of paper 2, for embeddings of any size.

    Args:
        kind: `linear_visual` and `linear_text` leave the other modality as it is.
        size: D, numbers in an embedding.
        score_function: what compares an image with a text. The paper's is `sigmoid_cosine`; its
            code can also take the sigmoid of the inner product. An attention head compares by
            itself: in place of the cosine it has an output of its own, and only the sigmoid of it.
        learned_scale: whether a trained factor multiplies the cosine or inner product, before the
            sigmoid where there is one.
        attention_heads: of an attention head.

    Raises:
        InputError: the size is not positive or not divisible by the number of attention heads, or
            an attention head is given a score function or a scale.
    """

    kind: HeadKind
    size: int
    score_function: ScoreFunction = "sigmoid_cosine"
    learned_scale: bool = False
    attention_heads: int = 64

    def __post_init__(self):
        if self.size < 1:
            raise InputError(f"embedding size {self.size}: a positive number is expected")
        if self.kind != "attention":
            return
        if self.attention_heads < 1 or self.size % self.attention_heads:
            raise InputError(
                f"{self.attention_heads} attention heads do not divide embeddings of {self.size}"
            )
        if self.score_function != "sigmoid_cosine" or self.learned_scale:
            raise InputError("an attention head has a score of its own, which cannot be chosen")

    @property
    def compares_directions(self) -> bool:
        """Whether the lengths of embeddings do not matter: cosines, not inner products."""
        return self.score_function.endswith("cosine")

    @property
    def gives_probabilities(self) -> bool:
        """Whether scores lie between 0 and 1."""
        return self.score_function.startswith("sigmoid")
