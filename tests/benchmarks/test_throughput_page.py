"""The page of a measurement of speed."""

import pyarrow as pa

from benchmarks.throughput.page import throughput_page
from jclip.report.page import write_page

STAGES = {
    "decode_ms": 5.0,
    "resize_ms": 20.0,
    "text_ms": 40.0,
    "tower_ms": 400.0,
    "write_ms": 0.01,
}


def row(precision, rate):
    return {
        "model": "m",
        "precision": precision,
        "batch_size": 64,
        "fit": "crop",
        "panoramas_per_s": rate,
        "images_per_s": 8 * rate,
        "step_ms": 8e3 / rate,
        "compile_s": 3.5,
        **STAGES,
        "resize_share": 0.0375,
        "bound_by": "tower",
        "tower_images_per_s": 19.0,
        "tower_gflops_per_s": 166.0,
        "product_gflops_per_s": 190.0,
        "tower_share": 0.87,
        "peak_memory_mib": 1234.0,
    }


def compared(precision, ratio):
    return {
        "library": "open_clip",
        "method": "panorama by panorama, view by view",
        "their_precision": "float32",
        "their_form": "float32",
        "theirs_per_s": 1.02,
        "our_precision": precision,
        "ours_per_s": 1.02 * ratio,
        "unit": "panoramas/s",
        "ratio": ratio,
        "ratio_low": ratio - 0.1,
        "ratio_high": ratio + 0.2,
    }


ROWS = [row("float32", 2.0), row("bfloat16", 5.0)]


def page(compared_rows=()):
    rows = list(compared_rows)
    return throughput_page(pa.Table.from_pylist(ROWS), pa.Table.from_pylist(rows) if rows else None)


def test_rates_stages_and_ratios_are_there(tmp_path):
    whole = page([compared("float32", 1.95), compared("bfloat16", 4.9)])
    write_page(tmp_path / "page.html", whole)
    text = (tmp_path / "page.html").read_text()
    for expected in ("87%", "3.8%", "1.95", "4.90", "bfloat16, batch 64, crop"):
        assert expected in text, expected
    names = [figure.name for figure in whole.figures()]
    assert names == ["stages", "comparison"]
    assert all(figure.png.startswith(b"\x89PNG") for figure in page().figures())


def test_the_page_begins_with_the_finding():
    lead = page([compared("float32", 1.95), compared("bfloat16", 4.9)]).lead
    assert lead.startswith("m scores 5.00 panoramas a second")
    assert "bfloat16 it is 4.90 times as fast as the faster way of open_clip in float32" in lead


def cells(page, section, row):
    """The cells of a table's row by their headings."""
    (table,) = page.sections[section].tables
    headings = [column.heading for column in table.columns]
    assert len(set(headings)) == len(headings)
    return dict(zip(headings, table.rows[row], strict=True))


def test_every_number_stands_under_its_own_heading():
    made = page([compared("bfloat16", 2.5)])
    assert cells(made, 0, 1) == {
        "sweep": "bfloat16, batch 64, crop",
        "panoramas/s": 5.0,
        "images/s": 40.0,
        "ms per step": 1600.0,
        "seconds to compile": 3.5,
        "tower alone, images/s": 19.0,
        "its dense layers, GFLOP/s": 166.0,
        "bare products, GFLOP/s": 190.0,
        "tower's share of that": 0.87,
        "peak memory so far, MiB": 1234.0,
    }
    assert cells(made, 1, 0) == {
        "sweep": "float32, batch 64, crop",
        "decode, ms": 5.0,
        "resize, ms": 20.0,
        "text, ms": 40.0,
        "tower, ms": 400.0,
        "write, ms": 0.01,
        "whole sweep, ms": 500.0,
        "resize of the whole": 0.0375,
        "bound by": "tower",
    }
    assert cells(made, 2, 0) == {
        "library": "open_clip",
        "its way": "panorama by panorama, view by view",
        "its precision": "float32",
        "by": "float32",
        "per second": 1.02,
        "our precision": "bfloat16",
        "ours per second": 2.55,
        "of": "panoramas/s",
        "times as fast": 2.5,
        "quartiles over rounds": (2.4, 2.7),
    }


def test_without_another_library_nothing_is_compared(tmp_path):
    write_page(tmp_path / "page.html", page())
    assert "Beside PyTorch" not in (tmp_path / "page.html").read_text()
