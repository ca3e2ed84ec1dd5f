import pytest

from jclip.report.faults import FaultChoice
from jclip.report.page import Page
from jclip.report.provenance import fault_section, settings_section, with_provenance


def test_settings_become_tables_by_mapping():
    section = settings_section(
        {
            "models": ("A", "B"),
            "beta": None,
            "versions": {"jax": "0.12.1"},
            "checkpoints": {"A": {"sha256": "abc", "files": ["x", 2]}},
            "empty": {},
        }
    )
    assert {table.caption: table.rows for table in section.tables} == {
        "settings": (("models", "A, B"), ("beta", "n/a")),
        "versions": (("jax", "0.12.1"),),
        "checkpoints": (("A.sha256", "abc"), ("A.files", "x, 2")),
    }


def test_a_mapping_cannot_hide_the_plain_values():
    with pytest.raises(ValueError, match="'settings'"):
        settings_section({"seed": 0, "settings": {"seed": 1}})


def test_faults_keep_their_order():
    faults = [FaultChoice("b", "reference", "x"), FaultChoice("a", "corrected", "y")]
    rows = fault_section(faults).tables[0].rows
    assert rows == (("b", "reference", "x"), ("a", "corrected", "y"))


def test_what_stands_in_the_frame_is_no_setting():
    fault = FaultChoice("a", "corrected", "y")
    settings = {"status": "done", "notices": ["read this"], "faults": [vars(fault)]}
    page = with_provenance(Page("t", "l", ()), ["read this"], [fault], settings)
    assert page.notices == ("read this",)
    assert page.sections[0].heading == "Faults of the papers' code"
    assert page.sections[-1].tables[0].rows == (("status", "done"),)
