"""The page of heads that were trained together."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from jclip.heads import HeadConfig
from jclip.report.page import Column, Illustration, Page, Section
from jclip.report.style import COLOURS, INK, MUTED, drawable, panels, png, tidy
from jclip.report.tables import page_table
from jclip.report.training_tables import run_table, setting_table
from jclip.training.head_batches import HeadRecipe
from jclip.training.head_training import TrainedHead

_RATES = {"learning_rate": Column("learning rate", "g"), "margin": Column("margin", "g")}
_LOSS = {"validation_loss": Column("validation loss", ".4g")}
_SETTINGS = {
    **_RATES,
    "seeds": None,
    **_LOSS,
    "validation_loss_deviation": Column("deviation over seeds", ".2g"),
    "best_epoch": Column("best epoch, mean", ".1f"),
}
_RUNS = {"run": None, "seed": None, **_RATES, "best_epoch": None, "epochs": None, **_LOSS}


def training_page(
    trained: Sequence[TrainedHead],
    config: HeadConfig,
    recipe: HeadRecipe,
    examples: tuple[int, int],
) -> Page:
    """The page of one stage of training.

    Args:
        trained: every run.
        config: what the heads are.
        recipe: how they were trained.
        examples: number of examples to train on, and to validate with.
    """
    runs = f"{len(trained)} {'run' if len(trained) == 1 else 'runs'}"
    best = min(trained, key=lambda one: one.validation_loss)
    return Page(
        title=f"Training of a re-projection head: {recipe.stage}",
        lead=f"The best of {runs} of a {config.kind} head took the validation loss from "
        f"{best.validation_losses[0]:.4g} to {best.validation_loss:.4g}, in epoch "
        f"{best.best_epoch} of {recipe.epochs}.",
        sections=(
            Section(
                heading="Summary",
                text=f"Heads for embeddings of {config.size} numbers, trained together on "
                f"{examples[0]:,} examples and validated on {examples[1]:,}. The loss is "
                f"{recipe.loss}, the score {config.score_function}. Of every run the epoch with "
                "the lowest validation loss is kept. Losses of different margins are not "
                "comparable.",
                tables=(
                    page_table(
                        "Best validation loss, mean over seeds", setting_table(trained), _SETTINGS
                    ),
                ),
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
            Section(
                heading="Runs",
                tables=(page_table("Every run", run_table(trained), _RUNS),),
                folded=len(trained) > 10,
            ),
        ),
    )


def training_notices(trained: Sequence[TrainedHead], recipe: HeadRecipe) -> list[str]:
    """What a reader of the page has to know first: runs that ended too early."""
    late = sum(one.best_epoch == recipe.epochs for one in trained)
    notice = f"In {late} of {len(trained)} runs the last epoch was the best: more might be better."
    return [notice] if late else []


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
