"""The page of heads that were trained together."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from jclip.heads import HeadConfig
from jclip.report.page import Column, Illustration, Page, Section, counted
from jclip.report.style import COLOURS, MUTED, panels, png
from jclip.report.tables import page_table
from jclip.report.training_tables import by_setting, run_table, setting_table
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
    """The page of one stage of training: every run, on so many examples, validated on so many."""
    best = min(trained, key=lambda one: one.validation_loss)
    summary = Section(
        "Summary",
        f"Heads for embeddings of {config.size} numbers, trained together on {examples[0]:,} "
        f"examples and validated on {examples[1]:,}. The loss is {recipe.loss}, the score "
        f"{config.score_function}. Of every run the epoch with the lowest validation loss is kept. "
        "Losses of different margins are not comparable.",
        page_table("Best validation loss, mean over seeds", setting_table(trained), _SETTINGS),
    )
    curves = Illustration(
        "learning-curves",
        "Mean loss of a batch against epochs: training, while it changes, and validation after it. "
        "Dots are the epochs that were kept.",
        png(curve_figure(trained)),
    )
    runs = page_table("Every run", run_table(trained), _RUNS)
    return Page(
        f"Training of a re-projection head: {recipe.stage}",
        f"The best of {counted(len(trained), 'run')} of a {config.kind} head took the validation "
        f"loss from {best.validation_losses[0]:.4g} to {best.validation_loss:.4g}, in epoch "
        f"{best.best_epoch} of {recipe.epochs}.",
        (
            summary,
            Section("Learning curves", "", curves),
            Section("Runs", "", runs, folded=len(trained) > 10),
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
    settings = by_setting(trained)
    titles = [f"learning rate {rate:g}, margin {margin:g}" for rate, margin in settings]
    figure, axes = panels(len(settings), 3, (4.6, 3.2), titles)
    for own, panel in zip(settings.values(), axes, strict=True):
        for one in own:
            epochs, kept = range(len(one.validation_losses)), (one.best_epoch, one.validation_loss)
            panel.plot(epochs[1:], one.training_losses, color=MUTED, linewidth=1)
            panel.plot(epochs, one.validation_losses, color=COLOURS[0], linewidth=1.5)
            panel.plot(*kept, "o", color=COLOURS[0], markersize=5)
        panel.set_xlabel("epoch")
    axes[0].set_ylabel("loss")
    axes[0].legend(axes[0].lines[:2], ("training", "validation"), frameon=False, fontsize=9)
    return figure
