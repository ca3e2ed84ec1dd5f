"""The card holds what was measured."""

from jclip.demo.model_card import write_model_card


def test_every_measurement_is_in_the_card(tmp_path):
    measured = {
        "right caption": {"photos, among 16": 0.8769},
        "visual semantics": {"crop": {"45 degrees": 1.1318, "flip bound": 3.008}},
        "fine-grained": {"color": {"mean rank": 2.9406, "boxes": 606}},
    }
    write_model_card(tmp_path / "README.md", measured)
    card = (tmp_path / "README.md").read_text()
    assert "| photos, among 16 | 0.877 |" in card
    assert "|  | 45 degrees | flip bound |\n| --- | --- | --- |\n| crop | 1.13 | 3.01 |" in card
    assert "| color | 2.94 | 606 |" in card
