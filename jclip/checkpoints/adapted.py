"""A checkpoint with a LoRA adapter merged into its kernels."""

import dataclasses
import os
from pathlib import Path

from jclip.adapters.lora import merge_adapter
from jclip.checkpoints.checkpoint import Checkpoint, CheckpointDescription
from jclip.checkpoints.peft import load_adapter


def with_adapter_name(
    description: CheckpointDescription, folder: str | os.PathLike[str]
) -> CheckpointDescription:
    """The description of a checkpoint `MODEL+FOLDER`, which an adapter will be merged into."""
    identity = description.identity
    identity = dataclasses.replace(identity, name=f"{identity.name}+{Path(folder).name}")
    return dataclasses.replace(description, identity=identity)


def with_adapter(checkpoint: Checkpoint, folder: str | os.PathLike[str]) -> Checkpoint:
    """The checkpoint with an adapter in peft's layout merged in; its notices join the others.

    The digest of the adapter's factors is `identity.sha256["adapter"]`. The checkpoint's name is
    left to `with_adapter_name`.

    Raises:
        InputError: see `load_adapter`.
    """
    adapter = load_adapter(checkpoint.clip, folder)
    identity = dataclasses.replace(
        checkpoint.identity,
        sha256={**checkpoint.identity.sha256, "adapter": adapter.sha256},
        notices=(*checkpoint.identity.notices, *adapter.notices),
    )
    description = dataclasses.replace(checkpoint.description, identity=identity)
    return Checkpoint(clip=merge_adapter(adapter.clip), description=description)
