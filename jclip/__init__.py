"""jclip: fast batched probes of what CLIP models understand, in JAX and Flax."""

from jclip.checkpoints import Checkpoint, load_checkpoint, load_clip, save_clip
from jclip.errors import InputError
from jclip.images import circular_shift, preprocess, shift_views
from jclip.models import CLIP, CLIPConfig

__all__ = [
    "CLIP",
    "CLIPConfig",
    "Checkpoint",
    "InputError",
    "circular_shift",
    "load_checkpoint",
    "load_clip",
    "preprocess",
    "save_clip",
    "shift_views",
]
