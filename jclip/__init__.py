"""jclip: fast batched probes of what CLIP models understand, in JAX and Flax."""

import importlib
from typing import TYPE_CHECKING, Any

from jclip.errors import InputError

if TYPE_CHECKING:
    from jclip.checkpoints import Checkpoint, load_checkpoint, load_clip, save_clip
    from jclip.exported_views import embed_folder
    from jclip.images import circular_shift, plan_views, preprocess, shift_views
    from jclip.loading import load
    from jclip.model import Model
    from jclip.models import CLIP, CLIPConfig
    from jclip.scoring import caption_ranks, panorama_scores, score, shift_scores, zero_shot

__all__ = [
    "CLIP",
    "CLIPConfig",
    "Checkpoint",
    "InputError",
    "Model",
    "caption_ranks",
    "circular_shift",
    "embed_folder",
    "load",
    "load_checkpoint",
    "load_clip",
    "panorama_scores",
    "plan_views",
    "preprocess",
    "save_clip",
    "score",
    "shift_scores",
    "shift_views",
    "zero_shot",
]

_HOMES = {
    "jclip.checkpoints": ("Checkpoint", "load_checkpoint", "load_clip", "save_clip"),
    "jclip.exported_views": ("embed_folder",),
    "jclip.images": ("circular_shift", "plan_views", "preprocess", "shift_views"),
    "jclip.loading": ("load",),
    "jclip.model": ("Model",),
    "jclip.models": ("CLIP", "CLIPConfig"),
    "jclip.scoring": ("caption_ranks", "panorama_scores", "score", "shift_scores", "zero_shot"),
}


def __getattr__(name: str) -> Any:
    """A name of the face, imported when it is first asked for: JAX alone takes a second."""
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(home), name)
    raise AttributeError(f"module 'jclip' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
