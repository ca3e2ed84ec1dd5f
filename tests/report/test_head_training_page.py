"""The page of heads that were trained together."""

import numpy as np
import pytest
from flax import nnx

from jclip.heads import HeadConfig, create_head
from jclip.report.head_faults import head_choices
from jclip.report.head_training_page import curve_figure, training_notices, training_page
from jclip.report.page import write_page
from jclip.report.training_tables import curve_table, run_table, setting_table
from jclip.training.head_batches import HeadRecipe
from jclip.training.head_training import HeadRun, TrainedHead

CONFIG = HeadConfig("linear", 4, "cosine")
RECIPE = HeadRecipe("warm-up", epochs=3)


def trained(seed, learning_rate, best_epoch=2):
    validation = np.array([9.0, 5.0, 4.0, 4.5]) + seed
    validation[best_epoch] = 3.0 + seed
    head = create_head(CONFIG, nnx.Rngs(0))
    run = HeadRun(seed, learning_rate, 0.2)
    return TrainedHead(run, head, best_epoch, np.array([6.0, 5.0, 4.0]), validation)


RUNS = [trained(seed, rate) for seed in (0, 1) for rate in (1e-3, 1e-4)]


def test_tables():
    rows = run_table(RUNS).to_pylist()
    assert [row["run"] for row in rows][:2] == [
        "seed-0_lr-0.001_margin-0.2",
        "seed-0_lr-0.0001_margin-0.2",
    ]
    assert rows[2]["validation_loss"] == 4.0 and rows[2]["epochs"] == 3
    first, _ = setting_table(RUNS).to_pylist()
    assert (first["learning_rate"], first["seeds"], first["validation_loss"]) == (1e-3, 2, 3.5)
    assert first["validation_loss_deviation"] == pytest.approx(np.sqrt(0.5))
    curve = curve_table(RUNS[:1]).to_pylist()
    assert [row["training_loss"] for row in curve] == [None, 6.0, 5.0, 4.0]
    assert [row["validation_loss"] for row in curve] == [9.0, 5.0, 3.0, 4.5]


def test_every_number_stands_under_its_own_name():
    uneven = [
        TrainedHead(HeadRun(seed, 1e-3, 0.25), RUNS[0].head, best, np.ones(epochs), losses)
        for seed, best, epochs, losses in (
            (4, 2, 3, np.array([9.0, 5.0, 3.0, 4.0])),
            (7, 1, 2, np.array([8.0, 6.0, 7.0])),
        )
    ]
    names = ["seed-4_lr-0.001_margin-0.25", "seed-7_lr-0.001_margin-0.25"]
    assert run_table(uneven).to_pydict() == {
        "run": names,
        "seed": [4, 7],
        "learning_rate": [1e-3, 1e-3],
        "margin": [0.25, 0.25],
        "best_epoch": [2, 1],
        "epochs": [3, 2],
        "validation_loss": [3.0, 6.0],
    }
    assert setting_table(uneven).to_pylist() == [
        {
            "learning_rate": 1e-3,
            "margin": 0.25,
            "seeds": 2,
            "validation_loss": 4.5,
            "validation_loss_deviation": pytest.approx(np.sqrt(4.5)),
            "best_epoch": 1.5,
        }
    ]
    curves = curve_table(uneven).to_pydict()
    assert curves["run"] == names[:1] * 4 + names[1:] * 3
    assert curves["epoch"] == [0, 1, 2, 3, 0, 1, 2]
    page = training_page(uneven, CONFIG, RECIPE, (100, 20))
    settings, runs = page.sections[0].tables[0], page.sections[2].tables[0]
    assert [column.heading for column in settings.columns] == [
        "learning rate", "margin", "seeds", "validation loss", "deviation over seeds",
        "best epoch, mean",
    ]  # fmt: skip
    assert settings.rows == ((1e-3, 0.25, 2, 4.5, pytest.approx(np.sqrt(4.5)), 1.5),)
    assert [column.heading for column in runs.columns] == [
        "run", "seed", "learning rate", "margin", "best epoch", "epochs", "validation loss",
    ]  # fmt: skip
    assert runs.rows == (
        (names[0], 4, 1e-3, 0.25, 2, 3, 3.0),
        (names[1], 7, 1e-3, 0.25, 1, 2, 6.0),
    )
    assert "100 examples and validated on 20" in page.sections[0].text
    assert page.lead == (
        "The best of 2 runs of a linear head took the validation loss from 9 to 3, in epoch 2 of 3."
    )


@pytest.mark.parametrize(("best_epoch", "warned"), [(2, False), (3, True)])
def test_the_page(best_epoch, warned, tmp_path):
    runs = [trained(seed, 1e-3, best_epoch) for seed in (0, 1)]
    page = training_page(runs, CONFIG, RECIPE, (100, 20))
    notices = training_notices(runs, RECIPE)
    assert any("In 2 of 2 runs the last epoch was the best" in n for n in notices) == warned
    write_page(tmp_path / "page.html", page)
    text = (tmp_path / "page.html").read_text()
    assert "100 examples" in text and "seed-1_lr-0.001_margin-0.2" in text


def test_a_panel_per_setting():
    panels = curve_figure(RUNS).axes
    assert len(panels) == 2
    for panel in panels:
        for seed in (0, 1):
            training, validation, best = panel.lines[3 * seed : 3 * seed + 3]
            assert list(training.get_xdata()) == [1, 2, 3]
            assert list(training.get_ydata()) == [6, 5, 4]
            assert list(validation.get_xdata()) == [0, 1, 2, 3]
            assert list(validation.get_ydata()) == [9 + seed, 5 + seed, 3 + seed, 4.5 + seed]
            assert (best.get_xdata()[0], best.get_ydata()[0]) == (2, 3 + seed)
    with pytest.raises(ValueError, match="nothing was trained"):
        curve_figure([])


def test_faults():
    hard = HeadRecipe("hard-negatives", text_axis="captions")
    paper = HeadConfig("linear", 4)
    choices = [fault.choice for fault in head_choices([paper], [RECIPE, hard], (0,))]
    assert choices == ["corrected", "reference", "reference", "reference"]
    choices = [fault.choice for fault in head_choices([CONFIG], [RECIPE], (0, 1))]
    assert choices == ["corrected"] * 3
