"""The page of programs that were compiled for chips."""

import pyarrow as pa
import pytest

from benchmarks.compile_report.page import compile_page
from jclip.report.page import write_page


def row(topology, **more):
    return {
        "experiment": "shift_sweep",
        "model": "ViT-L-14",
        "topology": topology,
        "chips": 16,
        "images_per_chip": 2304,
        "capacity_bytes": 16_000_000_000,
        "flops": 372e12,
        "formula_flops": 371e12,
        "formula_ratio": 1.0027,
        "fits": True,
        "problem": None,
        "arguments_bytes": 1_200_000_000,
        "outputs_bytes": 10_000,
        "temporaries_bytes": 6_543_000_000,
        "code_bytes": 50_000_000,
        "total_bytes": 7_793_010_000,
        "memory_share": 0.487,
        "xla_ratio": 1.01,
        "moved_bytes": 800_000_000_000,
        "collectives": "none",
        "all_gathers": 0,
        "kernels": "1200 products, 3400 element-wise",
        "kernel_runs": 4600,
        "intensity": 465.0,
        "ridge": 240.5,
        "compute_ms": 1890.0,
        "memory_ms": 977.0,
        "roofline_ms": 1890.0,
        "bound": "compute",
        "compile_s": 14.2,
        **more,
    }


UNKNOWN = dict.fromkeys(
    [*(f"{kind}_bytes" for kind in ("arguments", "outputs", "temporaries", "code", "total")),
     "memory_share", "xla_ratio", "moved_bytes", "collectives", "all_gathers", "kernels",
     "kernel_runs", "intensity",
     "ridge", "compute_ms", "memory_ms", "roofline_ms", "bound", "compile_s"]
)  # fmt: skip


def page(rows):
    return compile_page(pa.Table.from_pylist(rows))


def test_memory_work_and_bound_are_there(tmp_path):
    write_page(tmp_path / "page.html", page([row("v5e:4x4"), row("v6e:4x4", bound="memory")]))
    text = (tmp_path / "page.html").read_text()
    for expected in ("v5e:4x4", "6.543", "48.7%", "1.0027", "372.000", "not run on", "465.0"):
        assert expected in text, expected
    # 16 chips, 2,304 images each, in 1.89 s.
    assert "19,505" in text
    (figure,) = page([row("v5e:4x4")]).figures()
    assert figure.png.startswith(b"\x89PNG")


def cells(section):
    """The first row of a section's table by its headings."""
    (table,) = section.tables
    headings = [column.heading for column in table.columns]
    return dict(zip(headings, table.rows[0], strict=True))


def test_the_least_time_may_be_that_of_moving():
    _, work, *_ = page([row("v5e:4x4", roofline_ms=3000.0, bound="memory")]).sections
    assert cells(work)["least time, ms"] == 3000.0
    assert cells(work)["images/s at most"] == pytest.approx(16 * 2304 / 3)


def test_every_number_stands_under_its_own_heading():
    memory, work, kernels = page([row("v5e:4x4")]).sections
    assert cells(memory) == {
        "topology": "v5e:4x4",
        "images per chip": 2304,
        "arguments, GB": 1.2,
        "outputs, GB": 1e-5,
        "temporaries, GB": 6.543,
        "code, GB": 0.05,
        "total, GB": 7.79301,
        "the chip's, GB": 16.0,
        "share": 0.487,
        "fits": True,
    }
    found = cells(work)
    assert found.pop("images/s at most") == pytest.approx(16 * 2304 / 1.89)
    assert found == {
        "topology": "v5e:4x4",
        "TFLOP": 372.0,
        "over the formula": 1.0027,
        "XLA's over ours, loops once": 1.01,
        "GB moved": 800.0,
        "FLOP per byte": 465.0,
        "the chip's": 240.5,
        "computing, ms": 1890.0,
        "moving, ms": 977.0,
        "least time, ms": 1890.0,
        "bound by": "compute",
    }
    assert cells(kernels) == {
        "topology": "v5e:4x4",
        "kernels": 4600,
        "by kind": "1200 products, 3400 element-wise",
        "collectives": "none",
        "seconds to compile": 14.2,
    }


def test_what_does_not_fit_is_said_with_the_compilers_words(tmp_path):
    failed = row("v5e:1x1", **{**UNKNOWN, "fits": False, "problem": "ran out of memory in hbm"})
    write_page(tmp_path / "page.html", page([row("v5e:4x4"), failed]))
    text = (tmp_path / "page.html").read_text()
    assert "v5e:1x1: ran out of memory in hbm" in text
    assert page([failed]).figures()


def test_the_page_begins_with_the_finding():
    lead = page([row("v5e:4x4"), row("v6e:4x4")]).lead
    assert lead.startswith("shift_sweep of ViT-L-14, compiled for v5e:4x4 and not run on it, takes")
    assert "takes 7.79 of 16 GB on each chip and at least 1890 ms a run, bound by computing" in lead
    failed = row("v5e:1x1", **UNKNOWN | {"fits": False, "problem": "ran out of memory in hbm"})
    lead = page([failed]).lead
    assert lead == "shift_sweep of ViT-L-14, compiled for v5e:1x1, does not fit."


def test_where_a_compiler_does_not_count_and_nothing_fits_the_rest_is_still_there(tmp_path):
    card = row("l4:1", fits=False, problem="it takes 31.0 GB", xla_ratio=None)
    made = page([card])
    assert made.lead == "shift_sweep of ViT-L-14, compiled for l4:1, does not fit."
    write_page(tmp_path / "page.html", made)
    text = (tmp_path / "page.html").read_text()
    assert "l4:1: it takes 31.0 GB" in text and "4,600" in text
