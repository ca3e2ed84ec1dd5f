"""How a checkpoint's texts become token ids: cleaning, framing, padding."""

import dataclasses
from typing import Literal

from jclip.text.cleaning import Cleaning, TextChoice

Frame = Literal["clip", "own", "separator_to_zero", "class_last"]
"""What stands around a text. `clip`: start and end of text, the end repeated as padding. `own`:
what the tokenizer's file says. `separator_to_zero` (CLIPA): that, with BERT's [SEP] made 0.
`class_last` (CLIPS): start, text, end, padding, and [CLS] at the last position of all."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextFormat:
    """What is done to texts in front of one checkpoint.

    `corrected` is the cleaning of its training, `reference` that of the library its files are for.
    `padding` fills rows up; None for the frame `clip`, which repeats the end of text.
    """

    frame: Frame = "clip"
    corrected: Cleaning = "none"
    reference: Cleaning = "none"
    padding: int | None = None

    def cleaning(self, texts: TextChoice) -> Cleaning:
        """The one that was asked for."""
        return self.corrected if texts == "corrected" else self.reference


CLIP_TEXTS = TextFormat()
# Trained on lower-cased texts with their punctuation (`tokenize(lower=True)` in big_vision); only
# its evaluations and the libraries drop it.
SIGLIP_TEXTS = TextFormat(frame="own", corrected="lower", reference="no_punctuation", padding=1)
SIGLIP2_TEXTS = TextFormat(frame="own", corrected="lower", reference="none", padding=0)
NAFLEX_TEXTS = dataclasses.replace(SIGLIP2_TEXTS, reference="lower_letters")
METACLIP2_TEXTS = TextFormat(frame="own", padding=1)
