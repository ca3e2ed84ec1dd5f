"""Options of hard negatives."""

from jclip.data.foil_files import aro_relations_left_out
from jclip.runs.foils import FoilOptions


def test_relations_that_the_macro_average_leaves_out():
    own = aro_relations_left_out()
    assert len(set(own)) == len(own) == 157
    assert {"next to", "near", "with", "around"} < set(own) and "to the left of" not in own
    assert FoilOptions().relations_left_out == own
    assert FoilOptions(left_out=("none",)).relations_left_out == ()
    assert FoilOptions(left_out=("on", "under")).relations_left_out == ("on", "under")
