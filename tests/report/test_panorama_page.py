"""The page and the LaTeX table of generated panoramas, of scores made up here."""

from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pytest

from jclip.data.image_sets import ImageSet
from jclip.data.images import ImageFile
from jclip.data.panorama_sets import pair_key
from jclip.probes.panorama_scores import PanoramaScores
from jclip.probes.panorama_tables import comparison_rows, panorama_values, set_rows
from jclip.report.page import write_page
from jclip.report.panorama_figures import difference_figure
from jclip.report.panorama_page import PanoramaTables, panorama_page
from jclip.report.panorama_tables import latex_table, wide_table

COUNT = 20
PAIR = ("right", "torn")


def made(name, model="m", count=COUNT, better=0.0, torn=0.0, stacked=False):
    rng = np.random.default_rng(0)
    names = ("mvdiffusion.CS",) if stacked else ("yaws.squash", "mv_whole.corrected")
    columns = tuple(f"{own}/{k}" for own in names for k in range(8))
    fits = () if stacked else ("squash",)
    values = (20 + better + rng.normal(size=(count, len(columns)))).astype(np.float32)
    seams = rng.uniform(0.4, 0.5, size=(count, 9))
    seams[:, 0] += torn
    return PanoramaScores(
        image_set=name,
        model=model,
        fit="squash",
        images=tuple(f"{k}.png" for k in range(count)),
        columns=columns,
        values=values,
        fits=fits,
        orbits=(20 + better + rng.normal(size=(count, len(fits)))).astype(np.float32),
        features=np.zeros((count, len(fits), 3), np.float32),
        seams=seams,
    )


def image_set(name, count=COUNT, stacked=False):
    pixels = np.random.default_rng(1).integers(0, 256, (16, 32, 3), np.uint8)
    images = tuple(ImageFile(f"{k}.png", pixels.copy, 16, 32, "") for k in range(count))
    texts = ("a <hall>",) * count
    return ImageSet(name, images, texts, tuple(range(count)), "f", stacked=stacked)


def page_of(results, distances=None):
    values = [panorama_values(result) for result in results]
    summary = set_rows(results, values)
    distances = pa.table({}) if distances is None else distances
    tables = PanoramaTables(
        summary,
        comparison_rows(results, values, pair_key),
        distances,
        wide_table(summary, distances),
    )
    names = dict.fromkeys(result.image_set for result in results)
    sets = [image_set(name, stacked=not results[0].fits) for name in names]
    return panorama_page(results, values, tables, sets), tables


def test_the_lead_says_what_differs(tmp_path):
    results = [made("right"), made("torn", torn=2.0), made("better", better=5.0)]
    page, _ = page_of(results)
    assert "torn differs from right in DS excess (+2.00); better differs from right in" in page.lead
    assert "whole panorama (+5.00), orbit (+5.00), views (+5.00)" in page.lead
    write_page(tmp_path / "page.html", page)
    written = (tmp_path / "page.html").read_text()
    assert "right 32 x 16; torn 32 x 16" in written and "a &lt;hall&gt;" in written
    figures = {figure.name for figure in page.figures()}
    assert {"by-prompt", "score-against-yaw", "seam", "panoramas-0-right"} <= figures


def test_one_generator_and_several_models():
    page, tables = page_of([made("mine", "a"), made("mine", "b")])
    assert page.lead.startswith("mine, 20 panoramas by a: orbit 19.97")
    assert len(tables.comparisons) == 0 and page.title.endswith("2 models")


def test_the_lead_names_the_model_where_there_are_several():
    results = [made(name, model, torn=2.0 * (name == "torn")) for model in "ab" for name in PAIR]
    page, _ = page_of(results)
    assert page.lead == (
        "At p < 0.01: torn differs from right in DS excess (+2.00) by a; "
        "torn differs from right in DS excess (+2.00) by b."
    )


def test_the_lead_says_that_panoramas_are_too_few_for_a_test():
    """Of eight scores, Holm's method takes 8 x 2 / 2^n < 0.01: eleven panoramas."""
    for count, lead in (
        (10, "At p < 0.01 by m: torn and right share too few panoramas (10) to tell."),
        (11, "At p < 0.01 by m: torn differs from right in DS excess (+2.00)."),
    ):
        page, tables = page_of([made("right", count=count), made("torn", count=count, torn=2.0)])
        assert len(tables.comparisons) == 8
        assert page.lead == lead


def test_a_reference_with_captions_is_shown_and_compared_with_nobody():
    results = [made(name) for name in (*PAIR, "real")]
    values = [panorama_values(result) for result in results]
    comparisons = comparison_rows(results[:2], values[:2], pair_key)
    summary, none = set_rows(results, values), pa.table({})
    tables = PanoramaTables(summary, comparisons, none, wide_table(summary, none))
    sets = [image_set(result.image_set) for result in results]
    with patch("jclip.report.panorama_page.difference_figure", wraps=difference_figure) as drawn:
        page = panorama_page(results, values, tables, sets)
    assert [*drawn.call_args.args[0]] == ["right to torn"]
    assert "panoramas-2-real" in {figure.name for figure in page.figures()}


def test_pictures_alone_have_neither_yaws_nor_seams():
    page, tables = page_of([made("mv", stacked=True)])
    assert "views against their captions 2" in page.lead
    assert [section.heading for section in page.sections] == ["Scores"]
    assert latex_table(tables.wide).count("\\\\") == 2


def test_distances_and_latex():
    row = {"image_set": "a_b", "reference": "real", "model": "m", "name": "CMMD", "n": 20}
    row |= {"n_reference": 30, "distance": 0.5, "low": 0.25, "high": 0.75}
    page, tables = page_of([made("a_b")], pa.Table.from_pylist([row]))
    assert [s.heading for s in page.sections][1] == "Distances to real panoramas"
    tex = latex_table(tables.wide)
    assert r"a\_b & m & 20 & " in tex and r"0.500 {\scriptsize (0.250, 0.750)}" in tex
    assert "yaws.squash" not in tex


def test_no_results():
    with pytest.raises(ValueError, match="no results"):
        panorama_page([], [], PanoramaTables(*[pa.table({})] * 4), [])
