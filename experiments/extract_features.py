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

from jclip.runs.boxes import FeatureOptions
from jclip.runs.command import run_command
from jclip.runs.features import extract_features
from jclip.runs.options import ModelOptions, OnError, OutputOptions
from jclip.runs.processes import ProcessOptions


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
