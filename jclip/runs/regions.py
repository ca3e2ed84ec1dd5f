"""Boxes of a run as crops and as regions of their pictures, embedded once and kept."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import jax
import numpy as np
import tyro

from jclip.checkpoints import Checkpoint, CheckpointDescription
from jclip.data.boxes import BoxTable, inspect_box_images
from jclip.data.feature_inputs import FeatureInputs, box_inputs, images_digest
from jclip.data.features import Features
from jclip.data.images import ImageFile
from jclip.data.pipeline import plan_batches, stream_batches
from jclip.data.region_inputs import RegionInputs, fixed_grid, region_fit, region_inputs
from jclip.distributed import own_share
from jclip.errors import InputError
from jclip.files.atomic import replacing
from jclip.files.digests import write_tensors
from jclip.files.tensors import SafetensorsTensors
from jclip.models.config import TextKind
from jclip.probes.region_ranks import Protocol, Subject
from jclip.probes.regions import stream_region_embeddings, text_kind
from jclip.report.faults import REFERENCE, Choice
from jclip.runs.boxes import BoxOptions
from jclip.runs.embedded import (
    EmbeddingsByKind,
    by_box,
    done_rows,
    fill_embeddings,
    keep_embeddings,
    keep_squares,
    keep_texts,
)
from jclip.runs.features import origin_of
from jclip.runs.options import ModelOptions, OutputOptions, comma_separated, one_of
from jclip.runs.run import Run

_EMBEDDINGS = "embeddings.safetensors"


@dataclasses.dataclass(frozen=True)
class RegionOptions:
    """How boxes are embedded and judged, without features that were extracted before."""

    regions: Annotated[
        tuple[Protocol, ...],
        comma_separated(one_of(Protocol), "PROTOCOL,.."),
        tyro.conf.arg(aliases=["--region"]),
    ] = ()
    """Instead of --features: crop (each box a picture of its own, paper 2), roi (a region of the
    picture's map, FG-CLIP), or both side by side."""
    grid: Choice = "corrected"
    """Of roi. Corrected: the tower's own; reference: 14 x 14, or 24 x 24 at 336 pixels."""
    softmax: Choice = "corrected"
    """Of roi. Corrected: cosines; reference: a softmax in float32 of regions not normalised."""
    repeated_positives: Choice = "corrected"
    """A right caption among the wrong ones. Corrected: it is dropped there; reference: it stays."""
    short_lists: Choice = "corrected"
    """Boxes with few wrong captions. Corrected: counted apart; reference: among all others."""

    @property
    def repeats(self) -> dict[str, bool]:
        """Which faults of FG-CLIP's code are repeated, by the name of their option."""
        names = ("grid", "softmax", "repeated_positives", "short_lists")
        return {name: getattr(self, name) == REFERENCE for name in names}


def check_regions(options: RegionOptions, models: Sequence[CheckpointDescription]) -> None:
    """Refuse what could only fail after the expensive part.

    Raises:
        InputError: a protocol or a model is given twice, or a model has no regions.
    """
    names = [model.identity.name for model in models]
    for kind, given in (("protocol", [*map(str, options.regions)]), ("model", names)):
        if repeated := [name for name in given if given.count(name) > 1]:
            raise InputError(f"{kind} {repeated[0]}: given twice")
    for model in models:
        if "roi" in options.regions and not model.config.vision.has_dense:
            raise InputError(
                f"{model.identity.name}: its patches have no features in the space of texts, so it "
                "has no regions; --regions crop judges it"
            )


def open_boxes(
    options: BoxOptions, run: Path | None = None
) -> tuple[BoxTable, dict[str, ImageFile]] | None:
    """The boxes and the files of their images, by their headers; None before the demo's are.

    Raises:
        InputError: see `read_fg_ovd` and `inspect_box_images`.
    """
    if (folder := options.folder(run)) is None:
        return None
    table = options.read_boxes(folder)
    return table, inspect_box_images(table, folder, options.pixel_limit)


def data_digests(table: BoxTable, files: dict[str, ImageFile]) -> dict[str, str]:
    """What is judged, as the record of a run has it."""
    return {**table.digests, "images": images_digest(files)}


@dataclasses.dataclass(frozen=True)
class BoxEmbedder:
    """Embeds the boxes of a run by its checkpoints.

    Attributes:
        run: an open run.
        options: which protocols, on which grid.
        model: how checkpoints compute.
        images: where the pictures are, and how large they may be.
        output: how much is computed at once.
        table: the boxes.
        files: their pictures, by name.
    """

    run: Run
    options: RegionOptions
    model: ModelOptions
    images: BoxOptions
    output: OutputOptions
    table: BoxTable
    files: dict[str, ImageFile]

    def subjects(self, checkpoints: Sequence[Checkpoint]) -> list[Subject] | None:
        """Every checkpoint by every protocol; None but for process 0, which goes on alone.

        Raises:
            InputError: a box or a picture cannot become what a tower takes.
            RunStopped: an image or a disk failed; what was computed is kept.
        """
        regions = [self._regions(checkpoint) for checkpoint in checkpoints]
        crops = [self._crops(checkpoint) for checkpoint in checkpoints]
        embedded = self._earlier(checkpoints)
        for checkpoint, own, cut in zip(checkpoints, regions, crops, strict=True):
            for protocol in self.options.regions:
                if protocol == "roi":
                    self._embed_regions(checkpoint, own, embedded)
                else:
                    assert cut is not None
                    self._embed_crops(checkpoint, cut, embedded)
            # Of most models both protocols have the same texts.
            kinds: set[TextKind] = {_kind_of_text(checkpoint, p) for p in self.options.regions}
            for kind in sorted(kinds):
                self._embed_texts(checkpoint, kind, embedded)
        others = self.run.joined()
        if others is None:
            return None
        fill_embeddings(embedded, others)
        with replacing(self.run.folder / _EMBEDDINGS) as partial:
            write_tensors(partial, embedded)
        return [
            self._subject(checkpoint, protocol, embedded, own.cells)
            for checkpoint, own in zip(checkpoints, regions, strict=True)
            for protocol in self.options.regions
        ]

    def _regions(self, checkpoint: Checkpoint) -> RegionInputs:
        config, patch = checkpoint.image_config, checkpoint.clip.config.vision.patch_size
        grid = fixed_grid(config) if self.options.grid == REFERENCE else None
        return region_inputs(self.table, self.files, config, patch, grid)

    def _crops(self, checkpoint: Checkpoint) -> FeatureInputs | None:
        folder = self.images.folder(self.run.folder)
        if folder is None or "crop" not in self.options.regions:
            return None
        config, limit = checkpoint.image_config, self.images.pixel_limit
        inputs = box_inputs(self.table, folder, config, config.fit, 1.0, limit)
        self.run.note(*inputs.notices)
        return inputs

    def _earlier(self, checkpoints: Sequence[Checkpoint]) -> EmbeddingsByKind:
        boxes = len(self.table.distinct()[0])
        embedded: EmbeddingsByKind = {}
        for checkpoint in checkpoints:
            width = checkpoint.clip.config.embedding_width
            for protocol in self.options.regions:
                for kind, rows in (
                    (_kind(checkpoint, protocol), boxes),
                    (
                        _texts(checkpoint, _kind_of_text(checkpoint, protocol)),
                        len(self.table.texts),
                    ),
                ):
                    embedded[kind] = np.full((rows, width), np.nan, np.float32)
        if (path := self.run.folder / _EMBEDDINGS).exists():
            tensors = SafetensorsTensors([path])
            embedded |= {kind: np.array(tensors.read(kind)) for kind in embedded}
        fill_embeddings(embedded, self.run.earlier("embeddings"))
        return embedded

    def _embed_crops(
        self, checkpoint: Checkpoint, inputs: FeatureInputs, embedded: EmbeddingsByKind
    ) -> None:
        kind, steps = _kind(checkpoint, "crop"), self.output.images_per_step()
        keep_squares(self.run, embedded, kind, checkpoint, inputs.squares, steps, unit="boxes")

    def _embed_regions(
        self, checkpoint: Checkpoint, inputs: RegionInputs, embedded: EmbeddingsByKind
    ) -> None:
        """What earlier runs have not, picture by picture."""
        kind, boxes = _kind(checkpoint, "roi"), inputs.boxes
        done = done_rows(embedded)[kind]
        steps = self.output.images_per_step()
        plans = plan_batches(inputs.pictures, steps, jax.local_device_count())
        plans = [plan for plan in plans if not all(done[boxes[i]].all() for i in plan.indices)]
        plans = own_share(plans)
        batches = stream_batches(inputs.pictures, plans, record_failures=False)
        stream = stream_region_embeddings(batches, inputs, checkpoint.clip, checkpoint.image_config)
        planned = sum(len(boxes[index]) for plan in plans for index in plan.indices)
        keep_embeddings(
            self.run, embedded, kind, by_box(stream, boxes), planned=planned, unit="boxes"
        )

    def _embed_texts(
        self, checkpoint: Checkpoint, kind: TextKind, embedded: EmbeddingsByKind
    ) -> None:
        description = dataclasses.replace(checkpoint.description, text_kind=kind)
        own = dataclasses.replace(checkpoint, description=description)
        name, texts = _texts(checkpoint, kind), self.table.texts
        self.run.note(*keep_texts(self.run, embedded, name, own, texts, unit="captions"))

    def _subject(
        self,
        checkpoint: Checkpoint,
        protocol: Protocol,
        embedded: EmbeddingsByKind,
        cells: np.ndarray,
    ) -> Subject:
        rows, own = self.table.distinct()
        config = checkpoint.image_config
        fit = config.fit if protocol == "crop" else f"regions of {region_fit(config)}"
        features = Features(
            images=embedded[_kind(checkpoint, protocol)],
            captions=embedded[_texts(checkpoint, _kind_of_text(checkpoint, protocol))],
            image_names=tuple(self.table.name(row) for row in rows.tolist()),
            texts=self.table.texts,
            origin=origin_of(
                checkpoint, self.model, fit, 1.0, data_digests(self.table, self.files)
            ),
            boxes=self.table,
            box_images=own,
        )
        return Subject(checkpoint.identity.name, protocol, features, cells[own])


def _kind(checkpoint: Checkpoint, protocol: Protocol) -> str:
    return f"{checkpoint.identity.name}: {protocol}"


def _texts(checkpoint: Checkpoint, kind: TextKind) -> str:
    return f"{checkpoint.identity.name}: {kind} texts"


def _kind_of_text(checkpoint: Checkpoint, protocol: Protocol) -> TextKind:
    return text_kind(checkpoint.clip.config, protocol, checkpoint.description.text_kind)
