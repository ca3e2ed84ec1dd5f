"""The list of checkpoints, and the page that is written of it."""

from pathlib import Path

import pytest

from experiments.models import Options, main, page, row
from jclip.checkpoints import REGISTRY
from jclip.errors import InputError

ROOT = Path(__file__).parents[2]


def test_the_page_in_docs_is_that_of_the_registry(tmp_path):
    main(Options(out=tmp_path / "models.md"))
    written = (tmp_path / "models.md").read_text(encoding="utf-8")
    assert written == page(REGISTRY)
    assert written == (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    assert all(f"| {name} |" in written for name in REGISTRY)


def test_one_family_is_printed(capsys):
    assert main(Options(family=("PE-Core",))) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "5 checkpoints"
    assert "| PE-Core-B-16/meta | timm/PE-Core-B-16 | open_clip | gelu | 224 | squash |" in lines[4]


def test_what_an_image_costs_and_the_licence_stand_last():
    cells = {name: row(name, REGISTRY[name])[-2:] for name in REGISTRY}
    # 196 patches and a class token: twelve blocks of 12 d^2 a token, but for the last one's.
    d, n = 768, 197
    dense = 12 * d * d * n * 11 + 2 * d * d * n + 10 * d * d + 3 * 256 * d * 196 + d * 512
    attention = 2 * n * d * (11 * n + 1)
    gflop = 2 * (dense + attention) / 1e9
    assert cells["ViT-B-16/laion2b_s34b_b88k"] == (f"{gflop:.1f}", "mit")
    assert cells["ViT-L-14-CLIPA/datacomp1b"][1] == "not known"
    assert {licence for _, licence in cells.values()} == {
        "apache-2.0",
        "apple-ascl",
        "cc-by-nc-4.0",
        "mit",
        "not known",
    }


def test_an_unknown_family_is_named():
    with pytest.raises(InputError, match="'CLIPX' is no family; known: SigLIP 2, SigLIP, CLIPA"):
        main(Options(family=("CLIPX",)))


def test_nothing_in_the_cache_is_no_failure(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert main(Options(family=("EVA-02",), check=True)) == 0
    assert "load" in capsys.readouterr().out.splitlines()[-1]
