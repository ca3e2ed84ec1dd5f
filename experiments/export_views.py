"""What does a probe have to have embedded? Its views as PNG and its texts, for any program.

    python -m experiments.export_views shift_sweep --images PANORAMAS --out runs/views
    python -m experiments.export_views fine_grained_eval --annotations FILES --images DIR

Takes the options of the experiment that it is for. Writes views/, images.csv (file and what it is
of), texts.csv and plan.json. A program embeds every row of both, in order, and writes
`embeddings.safetensors` with image_embeds and text_embeds (or one of the other layouts of the
guide); `--embeddings FOLDER` then runs the experiment on them. `jclip.embed_folder(encoder,
FOLDER)` does that for any Python object with `encode_image` and `encode_text`.

Without more arguments `export_views shift_sweep` writes 96 demo panoramas at 8 shifts and flipped,
864 views, in some seconds.
"""

import dataclasses
from typing import Annotated

import tyro

from jclip.data.feature_plans import write_feature_plan
from jclip.data.view_plan import Plan, single_pictures, write_plan
from jclip.images.fits import SUPPLIED
from jclip.probes.view_plans import caption_pictures, plan_captions
from jclip.runs.boxes import FeatureOptions
from jclip.runs.command import run_command
from jclip.runs.options import OutFolder
from jclip.runs.run import Run, open_run
from jclip.text.templates import prompts_of, read_templates

from . import hard_negatives, keyword_probe, panorama_score, shift_sweep, zero_shot


@dataclasses.dataclass(frozen=True)
class Boxes(FeatureOptions):
    """Boxes with hard negatives (--annotations)."""

    fit: tyro.conf.Suppress[str] = "own"  # type: ignore[assignment]
    out: OutFolder = None


@dataclasses.dataclass(frozen=True)
class Captions(Boxes):
    """Whole images with captions (--coco)."""


@dataclasses.dataclass(frozen=True)
class Options:
    """Which experiment the views are for, with its options."""

    probe: tyro.conf.OmitSubcommandPrefixes[
        tyro.conf.OmitArgPrefixes[
            Annotated[shift_sweep.Options, tyro.conf.subcommand("shift_sweep")]
            | Annotated[keyword_probe.Options, tyro.conf.subcommand("keyword_probe")]
            | Annotated[panorama_score.Options, tyro.conf.subcommand("panorama_score")]
            | Annotated[Boxes, tyro.conf.subcommand("fine_grained_eval")]
            | Annotated[Captions, tyro.conf.subcommand("retrieval_eval")]
            | Annotated[hard_negatives.Options, tyro.conf.subcommand("hard_negatives")]
            | Annotated[zero_shot.Options, tyro.conf.subcommand("zero_shot")]
        ]
    ]


def main(options: Options) -> int:
    """Check everything, then write; returns the exit status."""
    own = options.probe
    if isinstance(own, Boxes):
        return _export_boxes(own)
    if isinstance(own, hard_negatives.Options):
        return _export_foils(own)
    return _export_classes(own) if isinstance(own, zero_shot.Options) else _export_captioned(own)


def _export_captioned(
    options: shift_sweep.Options | keyword_probe.Options | panorama_score.Options,
) -> int:
    """Views of sets of captioned images."""
    if isinstance(options, shift_sweep.Options):
        name, (sets, probe) = "shift_sweep", shift_sweep.probed(options)
    elif isinstance(options, panorama_score.Options):
        name, (sets, probe) = "panorama_score", panorama_score.probed(options)
    else:
        name, (sets, probe) = "keyword_probe", keyword_probe.probed(options)
    plan, out = plan_captions(sets, probe), options.output.out
    facts = {"image_sets": sets, "probe": name, "plan": plan.digest}
    with open_run("export_views", options, out=out, **facts) as run:
        write_plan(run.folder, name, plan, caption_pictures(sets, probe))
        return _done(run, name, plan)


def _export_boxes(options: Boxes) -> int:
    """Boxes, or whole images."""
    name = "retrieval_eval" if isinstance(options, Captions) else "fine_grained_eval"
    options.check()
    inputs = options.open(None)
    facts = {"probe": name, "data": inputs and inputs.data}
    with open_run("export_views", options, out=options.out, **facts) as run:
        inputs = inputs or options.open(None, run.folder)
        assert inputs is not None
        run.confirm("data", inputs.data)
        plan = write_feature_plan(run.folder, name, inputs)
        run.note(*inputs.notices)
        return _done(run, name, plan)


def _export_foils(options: hard_negatives.Options) -> int:
    """Pictures and texts of hard negatives."""
    name, own, out = "hard_negatives", options.foils, options.output.out
    own.check()
    foils = own.open()
    facts = {"probe": name, "foils": foils and dict(foils.digests)}
    with open_run("export_views", options, out=out, **facts) as run:
        foils = foils or own.open(run.folder)
        assert foils is not None
        run.confirm("foils", dict(foils.digests))
        parts = foils.squares(None, SUPPLIED)
        write_plan(run.folder, name, plan := foils.plan(), single_pictures(parts))
        return _done(run, name, plan)


def _export_classes(options: zero_shot.Options) -> int:
    """Images of classes and their prompts."""
    name, own, out = "zero_shot", options.classes, options.output.out
    templates, found = read_templates(own.templates), own.open()
    facts = {"probe": name, "templates": templates, "images": found and found.digest}
    with open_run("export_views", options, out=out, **facts) as run:
        found = found or own.open(run.folder)
        assert found is not None
        run.confirm("images", found.digest)
        plan = found.plan(prompts_of(found.classes, templates))
        write_plan(run.folder, name, plan, single_pictures(found.images))
        return _done(run, name, plan)


def _done(run: Run, name: str, plan: Plan) -> int:
    line = (
        f"{len(plan.views)} views and {len(plan.texts)} texts for {name}: embed the rows of "
        f"images.csv and texts.csv, then --embeddings {run.folder}"
    )
    return run.publish(None, [line], views=len(plan.views), texts=len(plan.texts))


if __name__ == "__main__":
    run_command(Options, main, __doc__)
