"""What is embedded once is embedded by models that can be told apart."""

import pytest

from jclip.checkpoints import describe_checkpoint
from jclip.data.embedded import read_embedded
from jclip.errors import InputError
from jclip.probes.head_foils import read_unseen_foils
from jclip.runs.embed_once import fit_of_each
from jclip.runs.foil_embeddings import embed_demo_foils
from jclip.runs.foils import FoilOptions


def test_a_fit_is_each_models_own():
    model = describe_checkpoint("demo")
    assert fit_of_each([model], "own") == {"demo": model.image_config.fit}
    assert fit_of_each([model], "squash") == {"demo": "squash"}


def test_the_demo_worlds_foils_are_made_once(tmp_path, monkeypatch):
    few = FoilOptions(demo_scenes=8)
    monkeypatch.setattr("jclip.runs.foil_embeddings.FoilOptions", lambda: few)
    embed_demo_foils(tmp_path / "run")
    embedded = read_embedded(tmp_path / "run" / "embeddings" / "demo.safetensors")
    foils = read_unseen_foils(tmp_path / "run", embedded.base)
    assert foils.columns[0] == "demo/replace_att" and len(foils.columns) == 6
    assert set(foils.measure(None, ("CLIP", "before", 0))) == set(foils.columns)
    rendered = sorted((tmp_path / "run" / "demo" / "photos").iterdir())
    assert len(rendered) == 16
    written = rendered[0].stat().st_mtime_ns
    embed_demo_foils(tmp_path / "run")
    assert rendered[0].stat().st_mtime_ns == written
    with pytest.raises(InputError, match="embedded by demo, and the heads are trained on"):
        read_unseen_foils(tmp_path / "run", {"model": {"name": "other", "weights": {}}})


def test_two_models_of_one_name_are_refused():
    model = describe_checkpoint("demo")
    with pytest.raises(InputError, match="model demo: given twice"):
        fit_of_each([model, model], "own")
