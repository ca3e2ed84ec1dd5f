"""The list of checkpoints, and the page that is written of it."""

from pathlib import Path

import pytest

from experiments.models import Options, main, page
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


def test_an_unknown_family_is_named():
    with pytest.raises(InputError, match="'CLIPX' is no family; known: SigLIP 2, SigLIP, CLIPA"):
        main(Options(family=("CLIPX",)))


def test_nothing_in_the_cache_is_no_failure(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    assert main(Options(family=("EVA-02",), check=True)) == 0
    assert "load" in capsys.readouterr().out.splitlines()[-1]
