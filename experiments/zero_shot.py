"""Does a model recognise what is in a picture, and is it loaded as it was trained?

    python -m experiments.zero_shot --model ViT-B-32/openai --images imagenet/val --templates FILE

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
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
import tyro

from jclip.checkpoints import DEMO_NOTICE, Checkpoint, CheckpointDescription, expand_names
from jclip.data.class_folders import ClassFolders, open_class_folders
from jclip.data.feature_inputs import square_part
from jclip.data.images import DEFAULT_PIXEL_LIMIT, unlike_a_viewer
from jclip.demo.class_photos import write_class_photos
from jclip.errors import InputError
from jclip.images import Fit
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
from jclip.runs.boxes import DEMO, rendered
from jclip.runs.command import run_command
from jclip.runs.embed_once import embed_once, fit_of_each
from jclip.runs.models import describe_models, load_models
from jclip.runs.options import ModelOptions, OutputOptions, PixelLimit
from jclip.runs.record import Silent
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
    images: Annotated[str, Silent] = DEMO
    """A folder with a folder of images for each class, or demo: photos of six shapes."""
    class_names: Annotated[Path | None, Silent] = None
    """CSV of folder,name: what the classes are called; default: as their folders."""
    templates: Annotated[str, Silent] = "simple"
    """Prompts in which {} stands for the class: simple (six of our own) or a file, one a line."""
    fit: Annotated[Literal["own", "crop", "squash", "pad", "native"], Silent] = "own"
    """How a picture becomes what the network sees: own (the checkpoint's), crop, squash, pad."""
    loading_check: Literal["on", "off"] = "on"
    """Whether each model is loaded otherwise too: with the other activation and text cleaning."""
    demo_scenes: int = 600
    """Scenes of the demo world, one photo each."""
    seed: int = 0
    """Of the bootstrap."""
    pixel_limit: PixelLimit = DEFAULT_PIXEL_LIMIT

    def open(self, run: Path | None = None) -> ClassFolders | None:
        """The images; None for the demo world without the folder of an open run.

        Raises:
            InputError: see `open_class_folders`.
        """
        if self.images != DEMO:
            return open_class_folders(Path(self.images), self.class_names, self.pixel_limit)
        if self.class_names is not None or self.demo_scenes < 64:
            raise InputError("demo has names of its own, and needs 64 scenes or more")
        if run is None:
            return None
        made = rendered(
            run, lambda folder: write_class_photos(folder, 0, self.demo_scenes), self.demo_scenes
        )
        return open_class_folders(made)


def main(options: Options) -> int:
    """Check everything, then embed, classify and tell; returns the exit status."""
    templates, models = read_templates(options.templates), describe_models(options.model)
    found = options.open()
    fits = fit_of_each(models, options.fit)
    facts = {"fits": fits, "templates": templates, "images": found and found.digest}
    with open_run("zero_shot", options, models=models, out=options.output.out, **facts) as run:
        found = found or options.open(run.folder)
        assert found is not None
        run.confirm("images", found.digest)
        run.note(*unlike_a_viewer(found.images))
        results: list[Classified] = []
        loading = []
        given = expand_names(options.model.models)
        for source, checkpoint in zip(given, run.load(options.model, models), strict=True):
            name = checkpoint.identity.name
            if checkpoint.identity.is_demo and options.images != DEMO:
                run.note(DEMO_NOTICE)
            right = _classified(options, run, checkpoint, found, templates, fits[name], name)
            results.append(right)
            others = [
                _classified(options, run, other, found, templates, fits[name], f"{name}, {said}")
                for said, other in _loaded_otherwise(options, source, checkpoint.description)
            ]
            loading.append(loading_table(right, others))
        return _report(options, run, results, pa.concat_tables(loading), found, templates)


def _classified(
    options: Options,
    run: Run,
    checkpoint: Checkpoint,
    found: ClassFolders,
    templates: tuple[str, ...],
    fit: Fit,
    name: str,
) -> Classified:
    """Embed images and prompts, each distinct one once, and classify."""
    config = checkpoint.image_config
    squares = [square_part(i.name, i, i.whole, config, fit) for i in found.images]
    prompts = prompts_of(found.classes, templates)
    texts = tuple(dict.fromkeys(prompts))
    steps, precision = options.output.images_per_step(), options.model.dtype().name
    embedded = embed_once(
        run, checkpoint, squares, texts, fit, steps, name=name, precision=precision
    )
    rows = {text: row for row, text in enumerate(texts)}
    own = embedded.texts[np.array([rows[prompt] for prompt in prompts])]
    return classify(embedded.pictures, own, found.labels, found.classes, name)


def _loaded_otherwise(options: Options, source: str, description: CheckpointDescription):
    """The model as it could be loaded by mistake: what is other, and the checkpoint."""
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
            yield said, checkpoint


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
