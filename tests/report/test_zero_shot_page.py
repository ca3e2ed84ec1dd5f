"""The page of zero-shot classification leads with what was found."""

import numpy as np

from jclip.probes.zero_shot import (
    Classified,
    accuracy_table,
    class_table,
    confusion_table,
    loading_table,
)
from jclip.report.page import write_page
from jclip.report.zero_shot_page import zero_shot_finding, zero_shot_page

CLASSES = tuple("abcdefg")
LABELS = np.arange(140) % 7


def classified(wrong, model="m"):
    predicted = np.where(np.arange(140) < wrong, (LABELS + 1) % 7, LABELS)
    return Classified(model, CLASSES, LABELS, predicted, np.where(predicted == LABELS, 1, 2))


def finding(right, *others):
    loading = loading_table(right, others)
    return zero_shot_finding(accuracy_table([right]), {"m": confusion_table(right)}, loading)


def test_the_confusion_that_matters_is_named():
    lead = finding(classified(14))
    assert lead.startswith("m takes 90.0 % of 140 images for the right one of 7 classes (")
    assert "most often it takes a for b (2 images)" in lead
    assert "takes" not in finding(classified(0)).split(";")[-1].replace("m takes", "")


def test_a_wrong_load_is_the_news():
    lead = finding(classified(40), classified(4, "m, activation gelu"))
    assert "m with activation gelu is right more often, by 25.7 points: probably wrongly" in lead
    lead = finding(classified(4), classified(40, "m, activation gelu"))
    assert "with activation gelu, m loses 25.7 points" in lead
    lead = finding(classified(4), classified(5, "m, activation gelu"))
    assert "do not show which is right" in lead


def test_the_page_is_written(tmp_path):
    right, other = classified(14), classified(30, "m, activation gelu")
    page = zero_shot_page(
        accuracy_table([right]),
        class_table([right]),
        {"m": confusion_table(right)},
        loading_table(right, [other]),
        [f"template {k} of a {{}}" for k in range(8)],
    )
    write_page(tmp_path / "page.html", page)
    text = (tmp_path / "page.html").read_text()
    assert "activation gelu" in text and "and 2 more" in text and "taken for" in text
