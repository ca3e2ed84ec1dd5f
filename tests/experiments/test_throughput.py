"""Throughput as a person measures it, on the smallest network."""

import csv
import json
import sys
from pathlib import Path

import jax
import pytest

from experiments import throughput
from jclip.errors import InputError, RunStopped

GOLDEN = str(Path(__file__).parents[1] / "golden" / "hf_full")
# Answers as PyTorch's side would, a second for everything, with scores that it is told.
FAKE = """
import json, sys
print(json.dumps({"versions": {"torch": "0", "open_clip_torch": "0"}, "threads": 1}), flush=True)
for line in sys.stdin:
    print(json.dumps({"seconds": 1.0, "scores": SCORES}), flush=True)
"""


def measure(out, **options):
    quick = {"model": GOLDEN, "batch_sizes": (8,), "repetitions": 1, "fits": ("crop",), **options}
    return throughput.main(throughput.Options(out=out, **quick))


def read(file):
    return list(csv.DictReader(file.read_text().splitlines()))


def test_every_precision_batch_and_fit_is_a_row_and_its_stages_are_apart(tmp_path, capsys):
    out = tmp_path / "run"
    assert measure(out, batch_sizes=(8, 16), fits=("crop", "squash")) == 0
    for precision in ("float32", "bfloat16"):
        file = out / f"throughput_cpu_{precision}_jax-{jax.__version__}.csv"
        rows = read(file)
        assert [(r["batch_size"], r["fit"]) for r in rows] == [
            ("8", "crop"),
            ("8", "squash"),
            ("16", "crop"),
            ("16", "squash"),
        ]
        for row in rows:
            rates = [float(row[name]) for name in row if name.endswith(("_per_s", "_ms"))]
            assert len(rates) == 11 and min(rates) > 0
            assert float(row["tower_share"]) > 0 and float(row["peak_memory_mib"]) > 100
            assert row["bound_by"] in ("decode", "resize", "text", "tower", "write")
    assert not (out / "comparison.csv").exists() and (out / "figures" / "stages.png").exists()
    assert json.loads((out / "run.json").read_text())["status"] == "done"
    assert capsys.readouterr().out.count("bound by") == 8


@pytest.fixture
def fake_torch(monkeypatch, tmp_path):
    """A function that puts a script in the place of PyTorch's side."""

    def put(scores):
        script = tmp_path / "fake.py"
        script.write_text(FAKE.replace("SCORES", repr(scores)))
        monkeypatch.setattr(throughput, "SCRIPT", script)

    return put


def test_the_other_side_takes_turns_and_has_to_score_alike(fake_torch, tmp_path, monkeypatch):
    fake_torch([0.0] * 8)
    compare = {"compare": ("open_clip",), "torch_python": sys.executable, "precision": ("float32",)}
    with pytest.raises(RunStopped, match="do not compute the same"):
        measure(tmp_path / "apart", **compare)
    monkeypatch.setattr("jclip.speed.torch_side._TOLERANCE", 1000.0)
    assert measure(tmp_path / "run", **compare) == 0
    rows = read(tmp_path / "run" / "comparison.csv")
    assert len(rows) == 6 and {row["library"] for row in rows} == {"open_clip"}
    assert (tmp_path / "run" / "figures" / "comparison.png").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": ("float16",)}, "--precision float16: not one of"),
        ({"compare": ("timm",)}, "--compare timm: not one of"),
        ({"batch_sizes": (0,)}, "--batch-sizes"),
        ({"repetitions": 0}, "--repetitions 0"),
        ({"compare": ("open_clip",), "fits": ("squash",)}, "--fits needs crop"),
        ({"compare": ("open_clip",), "torch_python": "absent"}, "absent: cannot be run"),
    ],
)
def test_what_cannot_be_timed_is_refused(options, message, tmp_path):
    with pytest.raises(InputError, match=message):
        measure(tmp_path / "run", **options)
