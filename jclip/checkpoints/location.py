"""The files of a checkpoint, by layout, and where they are."""

import dataclasses
from collections.abc import Collection, Mapping
from pathlib import Path

from jclip.checkpoints.causes import Layout
from jclip.checkpoints.hub import fetch
from jclip.errors import InputError

CONFIG_FILES: dict[Layout, str] = {
    "open_clip": "open_clip_config.json",
    "transformers": "config.json",
}
SAFETENSORS: dict[Layout, str] = {
    "open_clip": "open_clip_model.safetensors",
    "transformers": "model.safetensors",
}
PICKLES: dict[Layout, str] = {
    "open_clip": "open_clip_pytorch_model.bin",
    "transformers": "pytorch_model.bin",
}
INDEX = ".index.json"
PREPROCESSING = ("preprocessor_config.json", "processor_config.json")
VOCABULARIES = (("tokenizer.json",), ("vocab.json", "merges.txt"), ("spiece.model",))
TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
    "spiece.model",
)
SMALL_FILES = [
    *CONFIG_FILES.values(),
    *(f"{name}{INDEX}" for name in [*SAFETENSORS.values(), *PICKLES.values()]),
    *PREPROCESSING,
    *TOKENIZER,
]
"""All that is read of a checkpoint but its weights."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Location:
    """Where a checkpoint is.

    `folder` holds its configuration, preprocessing and tokenizer files; `weights` are the names of
    the files with the tensors, in `folder` too once they are fetched. `weight_map` says which of
    several files holds a tensor, and is empty for a single one. `beside` are the other files that
    are read, `absent` those of them that belong to the checkpoint and are not on this machine.
    `repository` is None for a folder of the user's. `file` is the weights' own path where that is
    what the user named, and `architecture` then says which network they are of, unless a
    configuration lies beside them.
    """

    source: str
    folder: Path
    layout: Layout = "transformers"
    weights: tuple[str, ...] = ()
    weight_map: Mapping[str, str] = dataclasses.field(default_factory=dict)
    pickled: bool = False
    repository: str | None = None
    beside: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    file: Path | None = None
    architecture: str | None = None
    notices: tuple[str, ...] = ()

    def fetch_weights(self) -> tuple[Path, ...]:
        """Download what is not there yet, and return the files.

        Raises:
            InputError: the files cannot be downloaded completely.
        """
        paths = tuple(self.folder / name for name in self.weights)
        if self.repository is not None and not all(path.is_file() for path in paths):
            fetch(self.repository, self.weights, self.folder.name)
        for path in paths:
            if not path.is_file():
                raise InputError(f"{path} is missing")
        return paths

    def require(self, *names: str) -> None:
        """Refuse to go on without files that belong to the checkpoint.

        Raises:
            InputError: one of these is `absent`.
        """
        for name in names:
            if name in self.absent:
                where = "is not in the hub's cache" if self.repository else "is not here"
                gone = " (its link leads nowhere)" if (self.folder / name).is_symlink() else ""
                raise InputError(f"{self.repository or self.folder}: {name} {where}{gone}")


def files_beside(layout: Layout, names: Collection[str]) -> tuple[str, ...]:
    """The small files that are read of a checkpoint which has all of these."""
    wanted = [CONFIG_FILES[layout]]
    if layout == "transformers":
        wanted += [name for name in PREPROCESSING if name in names][:1]
    if any(set(parts) <= set(names) for parts in VOCABULARIES):
        wanted += [name for name in TOKENIZER if name in names]
    return tuple(wanted)
