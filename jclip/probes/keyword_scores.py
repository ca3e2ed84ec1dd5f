"""What the keyword probe measures: the type that statistics and reports read."""

import dataclasses

import numpy as np
from jaxtyping import Float


@dataclasses.dataclass(frozen=True)
class KeywordScores:
    """Scores of N images of one set with V identifiers and U generic words before their content.

    `identifier_scores` and `generic_scores` are 100 x cosine, by one model under one fit. `control`
    marks a set of perspective photos, of which an identifier is not true.
    """

    image_set: str
    model: str
    fit: str
    control: bool
    images: tuple[str, ...]
    contents: tuple[str, ...]
    identifiers: tuple[str, ...]
    generics: tuple[str, ...]
    identifier_scores: Float[np.ndarray, "n v"]
    generic_scores: Float[np.ndarray, "n u"]

    @property
    def label(self) -> tuple[str, str, str]:
        """Set, model and fit: what tells the results of one run apart."""
        return self.image_set, self.model, self.fit
