"""The checkpoint that ships with the package: complete, small, and it knows its world."""

import shutil
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import jclip
from jclip.checkpoints import describe_checkpoint, load_checkpoint
from jclip.data.demo_world import open_demo_panoramas
from jclip.probes.retrieval import right_caption_share

SCENES = 64


@pytest.fixture(scope="module")
def panoramas():
    return open_demo_panoramas(SCENES, 64, split="validation")


def test_it_ships_whole_and_small():
    folder = Path(jclip.__file__).parent / "demo" / "checkpoint"
    names = {file.name for file in folder.iterdir()}
    assert {"config.json", "model.safetensors", "preprocessor_config.json", "README.md"} <= names
    assert {"tokenizer.json", "tokenizer_config.json"} <= names
    assert sum(file.stat().st_size for file in folder.iterdir()) < 8_000_000


def test_a_flipped_bit_in_it_is_refused(tmp_path):
    folder = Path(jclip.__file__).parent / "demo" / "checkpoint"
    shutil.copytree(folder, tmp_path / "copy")
    path = tmp_path / "copy" / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    damaged = r"model\.safetensors is damaged: .* as it was written"
    with pytest.raises(jclip.InputError, match=damaged):
        load_checkpoint(tmp_path / "copy")


def test_its_name_is_not_that_of_a_folder(tmp_path, monkeypatch):
    (tmp_path / "demo").mkdir()
    monkeypatch.chdir(tmp_path)
    description = describe_checkpoint("demo")
    assert description.identity.name == "demo"
    assert description.identity.notices == ()
    with pytest.raises(jclip.InputError, match="holds no checkpoint"):
        describe_checkpoint("./demo")


def test_it_finds_the_right_caption(panoramas):
    model = jclip.load("demo")
    distinct = np.sort(np.unique(panoramas.captions, return_index=True)[1])[:48]
    texts = model.embed_texts([panoramas.captions[row] for row in distinct])
    images = model.embed_images(panoramas.pixels[distinct], "squash")
    assert right_caption_share(jnp.asarray(images), jnp.asarray(texts), 16) > 0.75


def test_bfloat16_scores_deviate_by_less_than_a_seventh(panoramas):
    scores = []
    for dtype in (jnp.float32, jnp.bfloat16):
        model = jclip.load("demo", dtype=dtype)
        # At shifts 0 and W/2.
        found = jclip.shift_scores(model, panoramas.pixels, panoramas.captions, 2, "squash")
        scores.append(found)
    assert np.abs(scores[0] - scores[1]).max() <= 0.15
