"""Scores in text files, named as each of paper 1's scripts reads them: a "%.4f" per line."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from jclip.errors import InputError
from jclip.probes.keyword import KeywordScores
from jclip.probes.scores import Scores
from jclip.probes.shift import ShiftScores

# The paper's script loops over four.
_ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth".split()
_ON_THE_HUB = re.compile(
    r"vit[-_](b|l|h|base|large|huge)[-_](?:patch)?(14|16|32)(?!\d)", re.IGNORECASE
)


def reference_file_name(model: str) -> str:
    """`mixed_scores_ViT_B_32.txt` for `ViT-B-32/openai`: the paper's scripts know no more."""
    architecture = model.split("/")[0].removeprefix("random:")
    found = _ON_THE_HUB.search(model)
    if found and "vit" not in architecture.lower():
        architecture = f"ViT-{found[1][0].upper()}-{found[2]}"
    return f"mixed_scores_{architecture.replace('-', '_')}.txt"


def check_reference_layout(results: Sequence[Scores], *, adapted: bool = False) -> None:
    """Refuse results that the layout cannot hold.

    Raises:
        InputError: they are of several sets, widths or fits, of two checkpoints that the layout
            calls by one name, or of more format words than it has names for.
    """
    sets, models, fits = (set(labels) for labels in zip(*(r.label for r in results), strict=True))
    shifted = [result for result in results if isinstance(result, ShiftScores)]
    widths = {width for result in shifted for width in result.widths.tolist()}
    names = {adapted or reference_file_name(model) for model in models}
    if max(len(widths), len(sets), len(fits)) > 1 or len(names) < len(models):
        raise InputError(
            "the paper's text files hold one set, one width, one fit and one checkpoint per "
            "architecture, or one with an adapter",
            argument="reference_text_files",
        )
    words = [
        w for r in results if isinstance(r, KeywordScores) for w in (r.identifiers, r.generics)
    ]
    if max(map(len, words), default=0) > len(_ORDINALS):
        raise InputError(
            f"the paper's text files have names for {len(_ORDINALS)} words of each kind",
            argument="reference_text_files",
        )


def write_shift_text_files(folder: Path, result: ShiftScores, *, adapted: bool) -> None:
    """Write the scores at every shift; all panoramas need to have one width.

    Of a checkpoint as it is, `imgs_scores/mixed_scores_MODEL.txt`, which its script takes as the
    original, and `shift_PIXELS_imgs_scores/mixed_scores_MODEL.txt`, which it looks for beside that.
    Of one with an adapter all are in `lora_finetuned_scores`, where the script for fine-tuned
    models looks for them: `lora_finetuned_filtered_scores.txt` is the original.
    """
    for column, pixels in enumerate(result.shifts[0].tolist()):
        shift = f"shift_{pixels}_" if pixels else ""
        if adapted:
            file = Path("lora_finetuned_scores", f"lora_finetuned_{shift}filtered_scores.txt")
        else:
            file = Path(f"{shift}imgs_scores", reference_file_name(result.model))
        _write(folder / file, result.scores[:, column])


def write_keyword_text_files(folder: Path, results: Sequence[KeywordScores]) -> None:
    """Write every checkpoint's scores with every format word.

    `laion400m_imgs_scores_first_generic/mixed_scores_MODEL.txt` and so on are the folders that the
    script compares, whatever the weights, with one of the identifiers',
    `laion400m_imgs_scores_first_identifier` and so on.
    """
    for result in results:
        kinds = ("identifier", result.identifier_scores), ("generic", result.generic_scores)
        for kind, scores in kinds:
            for ordinal, column in zip(_ORDINALS, scores.T, strict=False):
                words = folder / f"laion400m_imgs_scores_{ordinal}_{kind}"
                _write(words / reference_file_name(result.model), column)


def _write(file: Path, scores: Float[np.ndarray, " n"]) -> None:
    file.parent.mkdir(exist_ok=True)
    lines = "".join(f"{score:.4f}\n" for score in scores)
    file.write_text(lines, encoding="utf-8")
