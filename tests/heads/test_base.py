"""Heads and the features that they belong to."""

import dataclasses

import pytest
from flax import nnx
from small_features import SIZE, captioned, origin

from jclip.errors import InputError
from jclip.heads import HeadConfig, create_head, require_base, save_head


def test_a_head_is_refused_for_other_weights(tmp_path):
    head, features = create_head(HeadConfig("linear", SIZE), nnx.Rngs(0)), captioned()
    path = tmp_path / "head.safetensors"
    save_head(head, path)
    require_base(path, features.base)
    save_head(head, path, base=features.base)
    require_base(path, dataclasses.replace(features, origin=origin("another name")).base)
    with pytest.raises(InputError, match="trained on features of small, and these are other"):
        require_base(path, dataclasses.replace(features, origin=origin("other", "def")).base)
