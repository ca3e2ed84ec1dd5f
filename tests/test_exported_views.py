"""Any model of the face embeds what was exported, and nothing else."""

import numpy as np
import pytest
from histogram_encoder import Histogram
from PIL import Image
from safetensors import safe_open

import jclip
from jclip.probes.outside import OutsideModel

RNG = np.random.default_rng(0)
TEXTS = ["a red ball on sand", "two blue boxes"]


def export(folder):
    """Two views of other sizes and two texts, as `export_views` names them."""
    views = [RNG.integers(0, 256, (40, width, 3), dtype=np.uint8) for width in (80, 50)]
    for row, view in enumerate(views):
        Image.fromarray(view).save(folder / f"{row}.png")
    (folder / "plan.json").write_text('{"digest": "d"}')
    (folder / "images.csv").write_text("file\n0.png\n1.png\n")
    (folder / "texts.csv").write_text("\n".join(["text", *TEXTS]) + "\n")
    return views


@pytest.mark.parametrize(
    "made",
    [lambda: jclip.load("demo"), lambda: OutsideModel(Histogram())],
    ids=("of jclip.load", "of an encoder"),
)
def test_a_model_embeds_as_it_always_does(made, tmp_path):
    model, views = made(), export(tmp_path)
    with safe_open(jclip.embed_folder(model, tmp_path, tmp_path / "own"), "numpy") as file:
        np.testing.assert_array_equal(file.get_tensor("image_embeds"), model.embed_images(views))
        np.testing.assert_array_equal(file.get_tensor("text_embeds"), model.embed_texts(TEXTS))
        metadata = file.metadata()
    assert metadata["model"] == model.name and metadata["plan"] == "d"


def test_only_exported_folders_are_embedded(tmp_path):
    with pytest.raises(jclip.InputError, match=r"no plan.json; experiments.export_views writes it"):
        jclip.embed_folder(Histogram(), tmp_path)
