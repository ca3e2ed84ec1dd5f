"""Throughput as a person measures it, on the smallest network."""

import csv
import json
import sys
from pathlib import Path

import jax
import pytest

from benchmarks.sweep import prepared_sweep, prompts_of
from benchmarks.throughput import __main__ as throughput
from benchmarks.throughput.stages import enlarged_samples
from jclip.checkpoints import load_checkpoint
from jclip.errors import InputError, RunStopped

GOLDEN = str(Path(__file__).parents[1] / "golden" / "hf_full")
# Answers as PyTorch's side would, a second for everything, with scores that it is told.
FAKE = """
import json, sys
print(json.dumps({"versions": {"torch": "0", "open_clip_torch": "0"}, "threads": 1}), flush=True)
for line in sys.stdin:
    print(json.dumps({"seconds": 1.0, "scores": SCORES}), flush=True)
"""


def measure(out, script=throughput.SCRIPT, **options):
    quick = {"model": GOLDEN, "batch_sizes": (8,), "repetitions": 1, "fits": ("crop",), **options}
    return throughput.main(throughput.Options(out=out, **quick), script)


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


def test_the_other_side_takes_turns_and_has_to_score_alike(tmp_path):
    def beside(name, scores):
        script = tmp_path / f"{name}.py"
        script.write_text(FAKE.replace("SCORES", repr(scores)))
        compare = {"compare": ("open_clip",), "torch_python": sys.executable}
        return measure(tmp_path / name, script, precision=("float32",), **compare)

    with pytest.raises(RunStopped, match="do not compute the same"):
        beside("apart", [0.0] * 8)
    panoramas = enlarged_samples(tmp_path / "panoramas", 1)
    sweep = prepared_sweep(
        load_checkpoint(GOLDEN), "crop", panoramas.images, prompts_of(panoramas), 8
    )
    assert beside("alike", sweep(None)[0].tolist()) == 0
    rows = read(tmp_path / "alike" / "comparison.csv")
    assert len(rows) == 6 and {row["library"] for row in rows} == {"open_clip"}
    assert (tmp_path / "alike" / "figures" / "comparison.png").exists()


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
