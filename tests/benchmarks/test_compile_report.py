import csv
import dataclasses
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.compile_report import __main__ as compile_report
from jclip.errors import InputError
from jclip.probes import shift

GOLDEN = str(Path(__file__).parents[1] / "golden" / "hf_full")
for_tpus = [
    pytest.mark.tpu_compiler,
    pytest.mark.skipif(
        importlib.util.find_spec("libtpu") is None, reason="libtpu is not installed (extra tpu)"
    ),
]
for_gpus = [
    pytest.mark.gpu_compiler,
    pytest.mark.skipif(
        importlib.util.find_spec("jax_cuda13_plugin") is None,
        reason="jax-cuda13-plugin is not installed (extra cuda)",
    ),
]


@pytest.fixture
def report(tmp_path, capsys):
    """A function that runs the command with the smallest network and returns rows and output."""

    def run(**options):
        out = tmp_path / "run"
        options = {"model": GOLDEN, "out": out} | options
        assert compile_report.main(compile_report.Options(**options)) == 0
        with (out / "compiled.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        page = (out / "report.html").read_text()
        assert "compiled for, not run on" in page and (out / "figures" / "compiled.png").exists()
        record = json.loads((out / "run.json").read_text())
        assert record["status"] == "done" and record["identity"]["experiment"] == "compile_report"
        return rows, capsys.readouterr().out

    return run


def from_the_shell(topology, folder):
    """The command as a person types it, where JAX has not been told to take the CPU alone."""
    environment = {k: v for k, v in os.environ.items() if k not in ("JAX_PLATFORMS", "XLA_FLAGS")}
    command = [sys.executable, "-m", "benchmarks.compile_report", "--model", GOLDEN]
    command += ["--views-per-chip", "16", "--topology", topology, "--out", str(folder)]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "1.0000 of the formula" in done.stdout and "Traceback" not in done.stderr


class TestCompiled:
    pytestmark = for_tpus

    def test_the_command_from_the_shell(self, tmp_path):
        from_the_shell("v5e:2x2", tmp_path / "run")

    def test_a_sweep_in_rounds_fits_keeps_to_itself_and_follows_the_formula(
        self, report, monkeypatch
    ):
        monkeypatch.setattr(shift, "VIEWS_AT_ONCE", 8)
        rows, output = report(topology=("v5e:2x2",), views_per_chip=32)
        (row,) = rows
        assert (row["chips"], row["images_per_chip"]) == ("4", "36")
        assert row["fits"] == "true" and row["collectives"] == "none"
        assert float(row["formula_ratio"]) == pytest.approx(1, rel=0.03)
        assert int(row["arguments_bytes"]) > 4 * 512 * 1024 * 3
        assert float(row["moved_bytes"]) > 4 * 512 * 1024 * 3 and float(row["roofline_ms"]) > 0
        assert output.count("(compiled for, not run on)") == 1

    def test_a_training_step_adds_up_gradients_and_gathers_nothing(self, report):
        rows, _ = report(topology=("v5e:2x2",), program_of="lora_finetune", views_per_chip=4)
        assert "all-reduce" in rows[0]["collectives"] and rows[0]["all_gathers"] == "0"

    def test_what_does_not_fit_is_a_row_too(self, report):
        rows, output = report(topology=("v5e:1x1",), views_per_chip=8 * 12_000)
        assert rows[0]["fits"] == "false" and rows[0]["compile_s"] == ""
        assert "does not fit" in output


class TestCompiledForGPUs:
    pytestmark = for_gpus

    def test_the_command_from_the_shell(self, tmp_path):
        from_the_shell("h100:1", tmp_path / "run")

    def test_a_sweep_in_rounds_fits_keeps_to_itself_and_follows_the_formula(
        self, report, monkeypatch
    ):
        monkeypatch.setattr(shift, "VIEWS_AT_ONCE", 8)
        rows, output = report(topology=("h100:8", "l4:1"), views_per_chip=32)
        for row, chips in zip(rows, ("8", "1"), strict=True):
            assert (row["chips"], row["images_per_chip"]) == (chips, "36")
            assert row["fits"] == "true" and row["collectives"] == "none"
            assert float(row["formula_ratio"]) == pytest.approx(1, rel=0.03)
            assert int(row["arguments_bytes"]) > 4 * 512 * 1024 * 3
            assert float(row["moved_bytes"]) > 4 * 512 * 1024 * 3
            assert row["xla_ratio"] == "" and "products" in row["kernels"]
            # Four rounds of views and one of mirror images, through two blocks and a third whose
            # queries are the class tokens alone.
            assert f", {5 * 2} attention" in row["kernels"]
            assert int(row["kernel_runs"]) > 5 * 6
        assert rows[0]["ridge"] != rows[1]["ridge"]
        assert output.count("(compiled for, not run on)") == 2

    def test_a_training_step_adds_up_gradients_at_once(self, report):
        rows, _ = report(topology=("h100:2",), program_of="lora_finetune", views_per_chip=4)
        assert rows[0]["collectives"] == "1 all-reduce" and "1 collectives" in rows[0]["kernels"]
        # cuDNN adds up gradients in no fixed order.
        assert "attention" not in rows[0]["kernels"]

    @pytest.mark.parametrize(
        "family",
        [
            "siglip2_fixed",
            "siglip2_naflex",
            "metaclip_2",
            "open_clip_clipa",
            "open_clip_eva02",
            "open_clip_pe_core",
            "fgclip1",
            "fgclip2",
        ],
    )
    def test_every_family_of_towers_is_compiled(self, report, family):
        model = str(Path(GOLDEN).with_name(family))
        rows, _ = report(model=model, topology=("h100:1",), views_per_chip=8)
        assert rows[0]["fits"] == "true" and rows[0]["collectives"] == "none"
        assert float(rows[0]["formula_ratio"]) == pytest.approx(1, rel=0.03)

    def test_an_epoch_of_heads_is_compiled_for_one_card(self, report):
        rows, _ = report(topology=("a100:1",), program_of="train_heads")
        assert rows[0]["chips"] == "1" and rows[0]["collectives"] == "none"

    def test_what_does_not_fit_says_what_it_takes(self, report):
        rows, output = report(topology=("l4:1",), views_per_chip=8 * 12_000)
        assert rows[0]["fits"] == "false" and "GB" in rows[0]["problem"]
        assert "does not fit" in output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"topology": ("v5e:3x3",)}, "not one of"),
        ({"topology": ("v5e:2x2", "h900:8")}, "no known chip; known are v4, .*h100"),
        ({"topology": ("v5e:2x2", "v5e:2x2")}, "one twice"),
        ({"views_per_chip": 20}, "a multiple of 8"),
        ({"views_per_chip": 3, "program_of": "lora_finetune"}, "a multiple of 2"),
        ({"views_per_chip": 8, "program_of": "train_heads"}, "not on views"),
    ],
)
def test_what_cannot_be_compiled_is_refused(options, message, tmp_path):
    asked = dataclasses.replace(compile_report.Options(model=GOLDEN, out=tmp_path), **options)
    with pytest.raises(InputError, match=message):
        compile_report.main(asked)
