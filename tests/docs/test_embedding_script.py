"""The guide's program for any library runs as it stands there, and its folder is read."""

import sys
import textwrap
import types
from pathlib import Path

import numpy as np
import pytest
from histogram_encoder import Histogram

from experiments import export_views, keyword_probe

GUIDE = Path(__file__).parents[2] / "docs" / "guide.md"


def script():
    _, after = GUIDE.read_text().split("A whole program, for any library:\n")
    return textwrap.dedent(after.partition("\nIn Python an object")[0])


@pytest.fixture
def my_model(monkeypatch):
    module, encoder = types.ModuleType("my_model"), Histogram()
    module.__dict__.update(
        encode_image=lambda images: encoder.encode_image(images).astype(np.float32),
        encode_text=lambda texts: encoder.encode_text(texts).astype(np.float16),
    )
    monkeypatch.setitem(sys.modules, "my_model", module)


def test_the_program_of_the_guide(my_model, run_experiment, panorama_folder, tmp_path, monkeypatch):
    options = ("--images", panorama_folder(), "--identifiers", "a panorama of")
    exported = run_experiment(export_views, "keyword_probe", *options, out="runs/views")
    assert exported.status == 0, exported.err
    monkeypatch.chdir(tmp_path)
    exec(script(), {})
    ended = run_experiment(keyword_probe, *options, "--embeddings", "runs/views")
    assert ended.status == 0, ended.err
    assert "panoramas, my model, supplied: identifiers score higher in" in ended.out
