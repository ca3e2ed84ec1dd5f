"""Re-projection heads: small trained maps on top of CLIP's frozen embeddings (paper 2)."""

from jclip.heads.attention import AttentionHead
from jclip.heads.configuration import HeadConfig, HeadKind, ScoreFunction
from jclip.heads.create import Head, Initialisation, create_head
from jclip.heads.files import head_base, load_head, require_base, save_head
from jclip.heads.scoring import EmbeddingHead, TextAxis

__all__ = [
    "AttentionHead",
    "EmbeddingHead",
    "Head",
    "HeadConfig",
    "HeadKind",
    "Initialisation",
    "ScoreFunction",
    "TextAxis",
    "create_head",
    "head_base",
    "load_head",
    "require_base",
    "save_head",
]
