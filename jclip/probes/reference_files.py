"""Scores in the text files that the scripts of paper 1 read."""

from collections.abc import Sequence
from pathlib import Path

from jclip.errors import InputError
from jclip.probes.shift import ShiftScores


def reference_file_name(model: str) -> str:
    """`mixed_scores_ViT_B_32.txt` for `ViT-B-32/openai`: the paper's scripts know no more."""
    architecture = model.split("/")[0].removeprefix("random:")
    return f"mixed_scores_{architecture.replace('-', '_')}.txt"


def check_reference_layout(results: Sequence[ShiftScores]) -> None:
    """Refuse results that the layout cannot hold.

    Raises:
        InputError: they are of several sets, widths or fits, or of two checkpoints that the layout
            calls by one name.
    """
    sets, models, fits = (set(labels) for labels in zip(*(r.label for r in results), strict=True))
    widths = {width for result in results for width in result.widths.tolist()}
    names = {reference_file_name(model) for model in models}
    if max(len(widths), len(sets), len(fits)) > 1 or len(names) < len(models):
        raise InputError(
            "the paper's text files hold one set, one width, one fit and one checkpoint per "
            "architecture"
        )


def write_reference_text_files(folder: Path, result: ShiftScores) -> None:
    """Write `shift_{pixels}_imgs_scores/mixed_scores_{MODEL}.txt`, a "%.4f" per line, per shift.

    All panoramas need to have one width.
    """
    for column, pixels in enumerate(result.shifts[0]):
        target = folder / f"shift_{pixels}_imgs_scores"
        target.mkdir(exist_ok=True)
        lines = "".join(f"{score:.4f}\n" for score in result.scores[:, column])
        (target / reference_file_name(result.model)).write_text(lines, encoding="utf-8")
