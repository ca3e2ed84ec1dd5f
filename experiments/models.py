"""Which checkpoints are known by name, and what belongs to each of them.

    python -m experiments.models --family SigLIP,"SigLIP 2"
    python -m experiments.models --check
    python -m experiments.models --out docs/models.md

Question: what can be asked for, and how are its images and texts prepared? Prints a table of the
registry: name, hub id, layout, activation (image and text tower where they differ), size in pixels,
fit, filter, mean and standard deviation, positions of a text, how texts are cleaned, in training
and by the library, GFLOP of an image and licence. With --check, every one of them whose files are
in the hub's cache is loaded, and what is wrong with one is told. Takes seconds; 107 checkpoints are
to be expected.
"""

import dataclasses
from pathlib import Path
from typing import Annotated

import huggingface_hub
import tyro

from jclip.checkpoints import REGISTRY, load_checkpoint
from jclip.checkpoints.description import activation_name
from jclip.checkpoints.registry import RegisteredCheckpoint
from jclip.errors import InputError
from jclip.files.atomic import replacing
from jclip.runs.command import run_command
from jclip.runs.options import Flag, Names

# How the names of a family's architectures are told, the first that fits.
_FAMILIES = {
    "SigLIP2": "SigLIP 2",
    "SigLIP": "SigLIP",
    "CLIPA": "CLIPA",
    "worldwide": "MetaCLIP 2",
    "PE-Core": "PE-Core",
    "EVA02": "EVA-02",
    "": "CLIP",
}
_HEADINGS = ("Name", "Hub id", "Layout", "Activation", "Pixels", "Fit", "Filter", "Mean, std")
_TEXT_HEADINGS = ("Positions", "Texts in training", "Texts by the library", "GFLOP", "Licence")
_CHANNELS = {0.5: "0.5", 0.485: "ImageNet's"}
_INTRODUCTION = """\
# Checkpoints by name

Written by `python -m experiments.models --out docs/models.md`. Facts are those of open_clip 3.3.0:
these are its tags whose towers jclip reads ({total}; its second names, `-quickgelu`, are left out).
Other checkpoints are given by a folder or a hub id, in the layout of transformers (`clip`,
`metaclip_2`, `siglip`, `siglip2` of any shape, FG-CLIP 1 and 2) or of open_clip. What jclip cannot
read, such as ResNets, ConvNeXt, ViTamin, FastViT and CoCa, it refuses by the name of the family.

GFLOP are of the image tower for one image: the products of dense layers and attention by formula, a
multiplication and an addition counted as two. Licences are those that the hub's pages name, as far
as they are known; what binds is what stands there now.

Texts are cleaned as in training unless `--text-cleaning reference` asks for what the library does:
`none` leaves them as they are, `lower` makes them lower case, `canonical` also drops punctuation,
`repaired` mends encodings and reads HTML entities, as open_clip does. Mean and std are CLIP's,
ImageNet's, or 0.5 for both.
"""


@dataclasses.dataclass(frozen=True)
class Options:
    """Which of them, and what is done with them."""

    family: Annotated[Names, tyro.conf.arg(aliases=["--families"])] = ()
    """Only these: CLIP, SigLIP, "SigLIP 2", CLIPA, "MetaCLIP 2", PE-Core, EVA-02."""
    check: Flag = False
    """Load those whose files are in the hub's cache."""
    out: Path | None = None
    """Write the table as Markdown instead of printing it."""


def main(options: Options) -> int:
    """Print or write the table, and load what is there; returns the exit status."""
    for family in options.family:
        if family not in _FAMILIES.values():
            known = ", ".join(_FAMILIES.values())
            raise InputError(f"{family!r} is no family; known: {known}", argument="family")
    wanted = options.family or tuple(_FAMILIES.values())
    entries = {name: e for name, e in REGISTRY.items() if family_of(e.architecture) in wanted}
    if options.out is not None:
        with replacing(options.out) as partial:
            partial.write_text(page(entries), encoding="utf-8")
        print(f"{len(entries)} checkpoints: {options.out}")
    else:
        for line in table(entries):
            print(line)
        print(f"{len(entries)} checkpoints")
    return check(entries) if options.check else 0


def family_of(architecture: str) -> str:
    """The family of an architecture, by its name."""
    return next(family for part, family in _FAMILIES.items() if part in architecture)


def row(name: str, entry: RegisteredCheckpoint) -> tuple[str, ...]:
    """One checkpoint's line, as the headings have it."""
    config, images, texts = entry.config, entry.image_config, entry.text_format
    clip = texts.frame == "clip"
    return (
        name,
        entry.hub_id,
        entry.layout,
        activation_name(config),
        str(images.size),
        images.fit,
        images.interpolation,
        _CHANNELS.get(images.mean[0], "CLIP's"),
        str(config.text.context_length),
        "repaired, lower" if clip else _told(texts.corrected),
        "repaired, lower" if clip else _told(texts.reference),
        f"{entry.flops / 1e9:.1f}",
        entry.licence or "not known",
    )


def _told(cleaning: str) -> str:
    return ", ".join(reversed(cleaning.split("_")))


def table(entries: dict[str, RegisteredCheckpoint]) -> list[str]:
    """The rows of checkpoints as Markdown."""
    rows: list[tuple[str, ...]] = [(*_HEADINGS, *_TEXT_HEADINGS)]
    rows.append(("---",) * len(rows[0]))
    rows += [row(name, entry) for name, entry in entries.items()]
    return [f"| {' | '.join(cells)} |" for cells in rows]


def page(entries: dict[str, RegisteredCheckpoint]) -> str:
    """All families, each with its table."""
    parts = [_INTRODUCTION.format(total=len(entries))]
    for family in _FAMILIES.values():
        own = {name: e for name, e in entries.items() if family_of(e.architecture) == family}
        if own:
            parts.append("\n".join([f"## {family}", "", *table(own), ""]))
    return "\n".join(parts)


def check(entries: dict[str, RegisteredCheckpoint]) -> int:
    """Load those whose files are in the cache; returns 3 if one is not what it should be."""
    try:
        cached = {repository.repo_id for repository in huggingface_hub.scan_cache_dir().repos}
    except huggingface_hub.CacheNotFound:
        cached = set()
    failed = 0
    present = [name for name, entry in entries.items() if entry.hub_id in cached]
    for name in present:
        try:
            load_checkpoint(name)
        except InputError as error:
            failed += 1
            print(f"{name}: {error}")
        else:
            print(f"{name}: loads")
    print(f"{len(present) - failed} of {len(present)} in the hub's cache load")
    return 3 if failed else 0


if __name__ == "__main__":
    run_command(Options, main, __doc__)
