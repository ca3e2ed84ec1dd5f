"""Embed boxes and captions once, for the experiments that need nothing but their embeddings.

    python -m experiments.extract_features --model ViT-B-16/openai --annotations A.json,B.json
        --images DIR
    python -m experiments.extract_features --model ViT-B-16/openai --coco dataset_coco.json
        --images DIR --splits test

Paper 2's features. A box that is in several annotation files, and a caption, is embedded once.
Writes features.safetensors, index.parquet, captions.parquet and features.json into --out, with the
embeddings not normalised. The same command goes on where a killed run stopped.
"""

import dataclasses

import tyro
from jclip.probes.raw_embeddings import stream_image_embeddings, stream_text_embeddings
from jclip.runs.failures import of_all_processes

<<<<<<< HEAD
from jclip.runs.boxes import FeatureOptions
from jclip.runs.command import run_command
from jclip.runs.features import extract_features
from jclip.runs.options import ModelOptions, OnError, OutputOptions
=======
from jclip.checkpoints import Checkpoint, CheckpointDescription
from jclip.data.coco_captions import read_coco_captions, select_splits
from jclip.data.embedding_parts import add_parts, earlier_embeddings, embedding_part
from jclip.data.feature_sources import (
    FeatureSource,
    boxes_source,
    captions_source,
    make_features,
)
from jclip.data.features import Features, Origin, write_features
from jclip.data.fg_ovd import read_fg_ovd
from jclip.data.images import DEFAULT_PIXEL_LIMIT
from jclip.data.pipeline import Failure, plan_batches, stream_batches
from jclip.demo import write_fine_grained_sets
from jclip.demo.caption_sets import write_caption_set
from jclip.distributed import is_lead, own_share, wait_for_all
from jclip.errors import InputError, RunStopped
from jclip.files.json_files import read_json
from jclip.files.tables import write_csv
from jclip.runs.command import DONE, DONE_WITH_FAILURES, run_command
from jclip.runs.models import describe_models, load_models, models_identity
from jclip.runs.options import ModelOptions, Names, OutputOptions
from jclip.runs.parts import keep_parts
>>>>>>> house
from jclip.runs.processes import ProcessOptions
from jclip.runs.record import confirm, default_folder, finish_run, open_run, other_parts


@dataclasses.dataclass(frozen=True)
class Options:
    """What is embedded, and how."""

    model: tyro.conf.OmitArgPrefixes[ModelOptions]
    output: tyro.conf.OmitArgPrefixes[OutputOptions]
    features: tyro.conf.OmitArgPrefixes[FeatureOptions]
    processes: tyro.conf.OmitArgPrefixes[ProcessOptions] = dataclasses.field(
        default_factory=ProcessOptions
    )
    on_error: OnError = "stop"


def main(options: Options) -> int:
    """Check everything, then embed what earlier runs have not; returns the exit status."""
    return extract_features(
        options.features,
        options.model,
        options.output,
        record_failures=options.on_error == "record",
    )


if __name__ == "__main__":
    run_command(Options, main, __doc__)
