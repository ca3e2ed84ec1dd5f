"""Does a model recognise what is in a picture, and is it loaded as it was trained?

    python -m experiments.zero_shot --model ViT-B-32/openai --images imagenet/val --templates openai

Zero-shot classification of a folder with a folder of images for each class. Beside the model as it
is loaded stands the same model with the other activation, and with its texts cleaned otherwise: a
checkpoint that was trained with the one and runs with the other loses points here and raises no
error anywhere. Writes accuracy.csv, classes.csv, confusions.csv, loading.csv, images.parquet,
embeddings/ and report.html.

Without arguments the demo model tells six shapes in photos of the demo world, in half a minute: it
is right about 91 % of them, and takes a ring for a cylinder most often. Its activation does not
show here.
"""

import dataclasses
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import tyro
from jaxtyping import Float32

from jclip.checkpoints import DEMO_NOTICE, Checkpoint, CheckpointDescription, expand_names
from jclip.data.class_folders import ClassFolders
from jclip.data.feature_inputs import square_part
from jclip.data.images import unlike_a_viewer
from jclip.data.supplied import Supplied
from jclip.images.fits import SeenFit
from jclip.probes.zero_shot import (
    Classified,
    accuracy_table,
    class_table,
    classify,
    confusion_table,
    image_table,
    loading_table,
)
from jclip.report.zero_shot_page import zero_shot_finding, zero_shot_page
from jclip.runs.boxes import DEMO
from jclip.runs.classes import ClassOptions, supplied_classes
from jclip.runs.command import run_command
from jclip.runs.embed_once import embed_once, fit_of_each
from jclip.runs.models import describe_models, load_models
from jclip.runs.options import Embeddings, ModelOptions, OutputOptions
from jclip.runs.probed import load_probed, probed_models
from jclip.runs.run import Run, open_run
from jclip.text.templates import prompts_of, read_templates

_OTHER = {"gelu": "quick_gelu", "quick_gelu": "gelu"}


@dataclasses.dataclass(frozen=True)
class Options:
    """Which models classify which images."""

    model: tyro.conf.OmitArgPrefixes[ModelOptions] = dataclasses.field(default_factory=ModelOptions)
    output: tyro.conf.OmitArgPrefixes[OutputOptions] = dataclasses.field(
        default_factory=OutputOptions
    )
    classes: tyro.conf.OmitArgPrefixes[ClassOptions] = dataclasses.field(
        default_factory=ClassOptions
    )
    embeddings: Embeddings = ()
    loading_check: Literal["on", "off"] = "on"
    """Whether each model is loaded otherwise too: with the other activation and text cleaning."""
    seed: int = 0
    """Of the bootstrap."""


def main(options: Options) -> int:
    """Check everything, then embed, classify and tell; returns the exit status."""
    templates = read_templates(options.classes.templates)
    models = probed_models(options.model, options.embeddings)
    found = options.classes.open()
    fits = fit_of_each(models, options.classes.fit)
    given = supplied_classes(models, found, templates)
    facts = {"fits": fits, "templates": templates, "images": found and found.digest}
    with open_run("zero_shot", options, models=models, out=options.output.out, **facts) as run:
        found = found or options.classes.open(run.folder)
        assert found is not None
        run.confirm("images", found.digest)
        given = given or supplied_classes(models, found, templates)
        run.note(*unlike_a_viewer(found.images))
        results: list[Classified] = []
        loading = []
        sources = iter(expand_names(options.model.models))
        for model in load_probed(run, options.model, models):
            name, others = model.identity.name, []
            if isinstance(model, Supplied):
                own = given[name]
                right = _of_prompts(found, templates, own.views, own.texts, name)
            else:
                if model.identity.is_demo and options.classes.images != DEMO:
                    run.note(DEMO_NOTICE)
                right = _classified(options, run, model, found, templates, fits[name], name)
                others = [
                    _classified(options, run, other, found, templates, fits[name], label)
                    for label, other in _loaded_otherwise(options, next(sources), model.description)
                ]
            results.append(right)
            loading.append(loading_table(right, others))
        return _report(options, run, results, pa.concat_tables(loading), found, templates)


def _classified(
    options: Options,
    run: Run,
    checkpoint: Checkpoint,
    found: ClassFolders,
    templates: tuple[str, ...],
    fit: SeenFit,
    name: str,
) -> Classified:
    """Embed images and prompts, each distinct one once, and classify."""
    config = checkpoint.image_config
    squares = [square_part(i.name, i, i.whole, config, fit) for i in found.images]
    texts = tuple(dict.fromkeys(prompts_of(found.classes, templates)))
    steps, precision = options.output.images_per_step(), options.model.dtype().name
    embedded = embed_once(
        run, checkpoint, squares, texts, fit, steps, name=name, precision=precision
    )
    return _of_prompts(found, templates, embedded.pictures, embedded.texts, name)


def _of_prompts(
    found: ClassFolders,
    templates: tuple[str, ...],
    pictures: Float32[np.ndarray, "n e"],
    texts: Float32[np.ndarray, "t e"],
    name: str,
) -> Classified:
    """Classify, from the embeddings of the distinct prompts."""
    prompts = prompts_of(found.classes, templates)
    rows = {prompt: row for row, prompt in enumerate(dict.fromkeys(prompts))}
    own = texts[np.array([rows[prompt] for prompt in prompts])]
    return classify(pictures, own, found.labels, found.classes, name)


def _loaded_otherwise(options: Options, source: str, description: CheckpointDescription):
    """The model as it could be loaded by mistake: its name with what is other, and it."""
    if options.loading_check == "off":
        return
    changes: dict[str, dict[str, Any]] = {}
    if (other := _OTHER.get(description.identity.activation)) is not None:
        changes[f"activation {other}"] = {"activation": other}
    texts = description.text_format
    if texts.corrected != texts.reference:
        chosen = "reference" if description.text_cleaning == "corrected" else "corrected"
        changes[f"text cleaning {chosen}"] = {"text_cleaning": chosen}
    for said, change in changes.items():
        changed = dataclasses.replace(options.model, models=(source,), **change)
        for checkpoint in load_models(changed, describe_models(changed)):
            yield f"{description.identity.name}, {said}", checkpoint


def _report(
    options: Options,
    run: Run,
    results: list[Classified],
    loading: pa.Table,
    found: ClassFolders,
    templates: tuple[str, ...],
) -> int:
    """Tables and the page."""
    run.write("accuracy", accuracy := accuracy_table(results, options.seed))
    run.write("classes", classes := class_table(results))
    run.write("loading", loading)
    confusions = {result.model: confusion_table(result) for result in results}
    named = [
        table.add_column(0, "model", pa.repeat(model, len(table)))
        for model, table in confusions.items()
    ]
    run.write("confusions", pa.concat_tables(named))
    names = [image.name for image in found.images]
    run.write("images", pa.concat_tables([image_table(result, names) for result in results]))
    lines = [
        f"{row['model']}, top-{row['top']}: {row['right']:.1f} % of images, "
        f"{row['balanced']:.1f} % over classes"
        for row in accuracy.to_pylist()
    ]
    lines.append(zero_shot_finding(accuracy, confusions, loading))
    return run.publish(zero_shot_page(accuracy, classes, confusions, loading, templates), lines)


if __name__ == "__main__":
    run_command(Options, main, __doc__)
