"""The model card of the demo checkpoint: its text, filled with what `evaluate_demo` measured."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

_INTRODUCTION = """\
# Demo CLIP

A small CLIP (64-pixel images in patches of 16, towers of width 192) trained on rendered scenes, so
that every experiment of jclip runs, and means something, without downloads. Its world is that of
`jclip.demo`; of photographs it knows nothing.

**Data.** Scenes of `jclip.demo.scenes`, rendered while training, none seen twice: panoramas (half
cropped, half squashed), photos and close-ups, with captions of `jclip.demo.captions`, which often
name colours, but seldom patterns, materials or transparency. **Recipe.** `python -m
experiments.pretrain_demo` with its defaults: 2,600 steps of 256 pairs, about 80 minutes on two CPU
cores.
**Layout.** transformers, float16. **Licence.** Apache-2.0, as the package.

**Known failures.** Materials are hardly told apart. Small objects of squashed panoramas are missed.
A score says little about objects behind the middle of a panorama, which captions seldom name.

All figures are measured on scenes of the test split by `python -m experiments.evaluate_demo`;
shares are of 1, semantics in score units (100 x cosine), ranks count from 1.
"""


def write_model_card(path: Path, measured: Mapping[str, Any]) -> None:
    """Write the card, in Markdown, from what `experiments.evaluate_demo` prints, in its units."""
    parts = [
        _INTRODUCTION,
        _table("Right caption (share of images)", ("images", "share"), measured["right caption"]),
    ]
    for heading, rows in measured.items():
        if heading != "right caption":
            columns = ("", *next(iter(rows.values())))
            cells = {name: list(values.values()) for name, values in rows.items()}
            parts.append(_table(heading.capitalize(), columns, cells))
    path.write_text("\n".join(parts), encoding="utf-8")


def _table(heading: str, columns: tuple[str, ...], rows: Mapping[str, Any]) -> str:
    lines = [f"## {heading}", "", _row(columns), _row(["---"] * len(columns))]
    for name, values in rows.items():
        listed = values if isinstance(values, list) else [values]
        lines.append(_row([name, *(_number(value) for value in listed)]))
    return "\n".join([*lines, ""])


def _row(cells) -> str:
    return f"| {' | '.join(cells)} |"


def _number(value: float | int) -> str:
    return str(value) if isinstance(value, int) else f"{value:.3g}"
