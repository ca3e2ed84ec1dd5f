"""The page of heads that were trained together."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from jclip.heads import HeadConfig
from jclip.report.page import Column, Illustration, Page, Section, Table
from jclip.report.provenance import FaultChoice, fault_section, settings_section
from jclip.report.style import COLOURS, INK, MUTED, drawable, panels, png, tidy
from jclip.report.training_tables import run_table, setting_table
from jclip.training.head_batches import HeadRecipe
from jclip.training.head_training import TrainedHead


def head_faults(
    configs: Sequence[HeadConfig], recipes: Sequence[HeadRecipe], seeds: Sequence[int]
) -> list[FaultChoice]:
    """Which faults of paper 2's code training repeats: all that it has a choice in.

    Args:
        configs: of the heads.
        recipes: of the stages that were run.
        seeds: that each setting was run with.
    """
    faults = []
    for recipe in recipes:
        if recipe.stage == "warm-up":
            masked = recipe.same_image == "masked"
            faults.append(
                FaultChoice(
                    "other captions of the same image count as negatives in the warm-up",
                    "corrected" if masked else "reference",
                    "they are neither right nor wrong" if masked else "they do",
                )
            )
        else:
            features = recipe.text_axis == "features"
            faults.append(
                FaultChoice(
                    "hard-negative training normalises texts over the captions of a box",
                    "corrected" if features else "reference",
                    f"normalised over {recipe.text_axis}",
                )
            )
    chosen = {c.score_function for c in configs if c.kind != "attention"}
    squeezed = "sigmoid_cosine" in chosen and not any(config.learned_scale for config in configs)
    if chosen:
        faults.append(
            FaultChoice(
                "the sigmoid of a cosine lies in 0.27 .. 0.73, so that margins ask for too much",
                "reference" if squeezed else "corrected",
                f"score: {', '.join(sorted(chosen))}",
            )
        )
    faults.append(
        FaultChoice(
            "initial weights unseeded, one seed, no deviations",
            "corrected" if len(seeds) > 1 else "reference",
            f"seeds: {', '.join(map(str, seeds))}",
        )
    )
    return faults


def training_page(
    trained: Sequence[TrainedHead],
    config: HeadConfig,
    recipe: HeadRecipe,
    examples: tuple[int, int],
    *,
    settings: Mapping[str, object],
    faults: Sequence[FaultChoice],
) -> Page:
    """Assembles the report of one stage of training.

    Args:
        trained: every run.
        config: what the heads are.
        recipe: how they were trained.
        examples: number of examples to train on, and to validate with.
        settings: what was run; a mapping inside becomes a table of its own.
        faults: one per fault of the paper's code that the run had a choice in.
    """
    late = sum(one.best_epoch == recipe.epochs for one in trained)
    notice = f"In {late} of {len(trained)} runs the last epoch was the best: more might be better."
    runs = f"{len(trained)} {'run' if len(trained) == 1 else 'runs'}"
    return Page(
        title=f"Training of a re-projection head: {recipe.stage}",
        lead=f"{runs} of a head of kind {config.kind} for embeddings of {config.size} numbers, "
        f"trained together on {examples[0]:,} examples and validated on {examples[1]:,}.",
        notices=(notice,) if late else (),
        sections=(
            Section(
                heading="Summary",
                text=f"The loss is {recipe.loss}, the score {config.score_function}. Of every run "
                "the epoch with the lowest validation loss is kept. Losses of different margins "
                "are not comparable.",
                tables=(_setting_table(trained),),
            ),
            Section(
                heading="Learning curves",
                figures=(
                    Illustration(
                        "learning-curves",
                        "Mean loss of a batch against epochs: training, while it changes, and "
                        "validation after it. Dots are the epochs that were kept.",
                        png(curve_figure(trained)),
                    ),
                ),
            ),
            Section(heading="Runs", tables=(_run_table(trained),), folded=len(trained) > 10),
            fault_section(faults),
            settings_section(settings),
        ),
    )


def curve_figure(trained: Sequence[TrainedHead]) -> Figure:
    """Training and validation losses per epoch, one panel per learning rate and margin.

    Raises:
        ValueError: nothing was trained.
    """
    if not trained:
        raise ValueError("nothing was trained")
    settings = list(dict.fromkeys((o.run.learning_rate, o.run.margin) for o in trained))
    figure, axes = panels(len(settings), 3, (4.6, 3.2))
    for (learning_rate, margin), panel in zip(settings, axes, strict=True):
        tidy(panel)
        title = f"learning rate {learning_rate:g}, margin {margin:g}"
        panel.set_title(drawable(title), fontsize=10, color=INK)
        own = [o for o in trained if (o.run.learning_rate, o.run.margin) == (learning_rate, margin)]
        for number, one in enumerate(own):
            first = number == 0
            epochs = range(len(one.validation_losses))
            panel.plot(
                epochs[1:],
                one.training_losses,
                color=MUTED,
                linewidth=1,
                label="training" if first else None,
            )
            panel.plot(
                epochs,
                one.validation_losses,
                color=COLOURS[0],
                linewidth=1.5,
                label="validation" if first else None,
            )
            panel.plot(one.best_epoch, one.validation_loss, "o", color=COLOURS[0], markersize=5)
        panel.set_xlabel("epoch", fontsize=9, color=INK)
    axes[0].set_ylabel("loss", fontsize=9, color=INK)
    axes[0].legend(frameon=False, fontsize=9)
    return figure


def _setting_table(trained: Sequence[TrainedHead]) -> Table:
    columns = (
        Column("learning rate", "g"),
        Column("margin", "g"),
        Column("seeds"),
        Column("validation loss", ".4g"),
        Column("deviation over seeds", ".2g"),
        Column("best epoch, mean", ".1f"),
    )
    rows = tuple(tuple(row.values()) for row in setting_table(trained).to_pylist())
    return Table("Best validation loss, mean over seeds", columns, rows)


def _run_table(trained: Sequence[TrainedHead]) -> Table:
    columns = (
        Column("run"),
        Column("seed"),
        Column("learning rate", "g"),
        Column("margin", "g"),
        Column("best epoch"),
        Column("epochs"),
        Column("validation loss", ".4g"),
    )
    rows = tuple(tuple(row.values()) for row in run_table(trained).to_pylist())
    return Table("Every run", columns, rows)
