"""The networks.

One `Block` and two towers make all families; what distinguishes them are fields of their
configurations (`VisionConfig`, `TextConfig`):

family       | image tower                                            | text tower
------------ | ------------------------------------------------------ | --------------------------
CLIP         | class token, pre-norm                                  | causal, end of text
LongCLIP     | as CLIP                                                | as CLIP, 248 positions
MetaCLIP 2   | as CLIP                                                | as CLIP
CLIPA, CLIPS | class token, no pre-norm, mean, then norm              | not causal, last position
SigLIP, 2    | no class token, no pre-norm, patch bias, `map`,        | not causal, last position,
             | no projection, epsilon 1e-6, logit bias                | biased projection
NaFlex       | as SigLIP, `flexible`                                  | as SigLIP
PE-Core      | class token, pre-norm, rotary (x first, from 1),       | as CLIP
             | `map` with 8 heads, biased projection                  |
EVA-02       | class token, patch bias, rotary (y first, scaled),     | as CLIP
             | gated MLP, inner norms, no key bias, biased projection |
FG-CLIP 1    | as CLIP, `dense`: patches that see themselves          | as CLIP, `long`
FG-CLIP 2    | as NaFlex, `dense`: a second head                      | as SigLIP, `long`, `box`

The mean of the normed patches, the first position, layer scale and other epsilons occur in
open_clip's own configurations.
"""

from jclip.models.clip import CLIP
from jclip.models.config import ARCHITECTURES, CLIPConfig, TextConfig, VisionConfig
from jclip.models.pooling import cut_after_end_of_text

__all__ = [
    "ARCHITECTURES",
    "CLIP",
    "CLIPConfig",
    "TextConfig",
    "VisionConfig",
    "cut_after_end_of_text",
]
