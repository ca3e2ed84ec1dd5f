"""The one command for a real chip, on the smallest network and this machine's CPU."""

import csv
import json

import jax
import numpy as np
import pytest

from benchmarks.accelerator import __main__ as accelerator
from benchmarks.accelerator import measurements, parity
from benchmarks.accelerator.page import finding, strayed
from jclip.errors import InputError

GOLDEN = str(parity.GOLDENS / "hf_full")
MACHINE = {"card": "NVIDIA H100", "date": "2026-01-01", "driver": "cuda 13", "jax": "0.12"}


@pytest.fixture
def quick(monkeypatch):
    """Goldens of two families, a training step of two panoramas, heads of few pairs."""
    monkeypatch.setattr(parity, "NAMES", ("hf_full", "open_clip_clipa"))
    monkeypatch.setattr(accelerator, "Sizes", lambda *_: measurements.Sizes(2, 256, 1))


def run(out, **options):
    quick = {"model": GOLDEN, "batch_sizes": (8,)} | options
    return accelerator.main(accelerator.Options(out=out, **quick))


def test_every_part_is_in_rows_and_in_the_markdown_of_the_results(tmp_path, quick, capsys):
    assert run(tmp_path / "run") == 0
    rows = list(csv.DictReader((tmp_path / "run" / "accelerator.csv").read_text().splitlines()))
    assert list(dict.fromkeys(row["part"] for row in rows)) == [
        "parity",
        "tower",
        "sweep",
        "attention",
        "fine-tuning",
        "resizing",
        "sphere",
        "heads",
    ]
    deviations = {(r["what"], r["precision"]): float(r["value"]) for r in rows[:4]}
    assert len(deviations) == 4 and all(value > 0 for value in deviations.values())
    assert all(v < 1e-5 for (_, p), v in deviations.items() if p == "float32")
    assert all(1e-5 < v < 0.05 for (_, p), v in deviations.items() if p == "bfloat16")
    rates = [row for row in rows[4:] if row["unit"] != "largest deviation"]
    assert all(float(row["value"]) > 0 for row in rates)
    assert {row["precision"] for row in rows if row["part"] == "sweep"} == {"float32", "bfloat16"}
    text = (tmp_path / "run" / "results.md").read_text()
    assert text.startswith("## ") and "2 of 2 goldens are within 1e-05" in text
    assert "jaxlib" in text and "driver" in text and text.count("\n| ") == len(rows) + 1
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "done"
    assert "panoramas/s" in capsys.readouterr().out


def test_rows_without_a_precision_or_a_batch_are_written_too(tmp_path, quick, monkeypatch):
    def few(*_):
        def rows():
            yield {"what": "eight views", "value": 3.25, "unit": "ms a panorama"}

        return [measurements.Measurement("resizing", "resizing", rows)]

    monkeypatch.setattr(accelerator, "measurements", few)
    assert run(tmp_path / "run") == 0
    text = (tmp_path / "run" / "results.md").read_text()
    assert "| resizing | eight views |  |  | 3.25 ms a panorama |  |" in text
    assert "eight views" in (tmp_path / "run" / "report.html").read_text()


def test_what_the_chip_refuses_is_named_and_the_rest_is_measured(tmp_path, quick, monkeypatch):
    def two(*_):
        def refused():
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: out of\nmemory")

        def rows():
            yield {"what": "eight views", "value": 3.25, "unit": "ms a panorama"}

        named = {"tower bfloat16 2048": refused, "resizing": rows}
        return [measurements.Measurement("part", name, how) for name, how in named.items()]

    monkeypatch.setattr(accelerator, "measurements", two)
    assert run(tmp_path / "run") == 1
    (notice, *_) = json.loads((tmp_path / "run" / "run.json").read_text())["notices"]
    assert notice == "failed: tower bfloat16 2048: RESOURCE_EXHAUSTED: out of memory"
    assert "eight views" in (tmp_path / "run" / "accelerator.csv").read_text()


def test_what_there_is_no_time_for_is_named(tmp_path, quick, monkeypatch):
    ticks = iter([0.0, *[1.0] * 2, *[1e6] * 99])
    monkeypatch.setattr(accelerator, "monotonic", lambda: next(ticks))
    assert run(tmp_path / "run") == 0
    rows = list(csv.DictReader((tmp_path / "run" / "accelerator.csv").read_text().splitlines()))
    assert {row["part"] for row in rows} == {"parity"}
    (notice, *_) = json.loads((tmp_path / "run" / "run.json").read_text())["notices"]
    assert notice.startswith("left out after 10 minutes: tower bfloat16 8, sweep bfloat16 8")


def test_a_chip_that_computes_something_else_is_the_finding_and_the_exit_status(
    tmp_path, quick, monkeypatch
):
    real = parity.known_goldens

    def wrong(folder):
        found = real(folder)
        found["hf_full"]["image_embeds"] = found["hf_full"]["image_embeds"] + np.float32(1e-3)
        return found

    monkeypatch.setattr(measurements, "known_goldens", wrong)
    ticks = iter([0.0, *[1.0] * 2, *[1e6] * 99])
    monkeypatch.setattr(accelerator, "monotonic", lambda: next(ticks))
    assert run(tmp_path / "run") == 1
    text = (tmp_path / "run" / "results.md").read_text()
    assert "1 of 2 goldens are within 1e-05 in float32 (not hf_full)" in text


def test_no_number_is_no_parity():
    row = {"part": "parity", "what": "siglip", "precision": "float32", "value": float("nan")}
    assert strayed([row]) == ["siglip"]
    rows = [row | {"unit": "largest deviation"}]
    assert finding(rows, MACHINE) == (
        "On NVIDIA H100 0 of 1 goldens are within 1e-05 in float32 (not siglip)."
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_sizes": (8, 0)}, "positive"),
        ({"minutes": 0.0}, "positive"),
        ({"model": "no-such-model"}, "no-such-model"),
    ],
)
def test_what_cannot_be_measured_is_refused(options, message, tmp_path):
    with pytest.raises(InputError, match=message):
        run(tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_without_the_repositorys_goldens_it_says_so(tmp_path):
    with pytest.raises(InputError, match="checkout of the repository"):
        parity.known_goldens(tmp_path)
