"""From the name of a checkpoint to files on this machine."""

import dataclasses
import difflib
import re
from collections.abc import Collection, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import huggingface_hub
from huggingface_hub.errors import (
    GatedRepoError,
    HTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

from jclip.checkpoints.architectures import ARCHITECTURES
from jclip.checkpoints.registry import REGISTRY, Layout
from jclip.errors import InputError
from jclip.files.json_files import read_json

DEMO = "demo"
DEMO_FOLDER = Path(str(resources.files("jclip.demo") / "checkpoint"))
"""Of the small checkpoint that ships with the package."""

CONFIG_FILES: dict[Layout, str] = {
    "open_clip": "open_clip_config.json",
    "transformers": "config.json",
}
# Of each layout: safetensors, and pickles.
_WEIGHTS: dict[Layout, tuple[str, str]] = {
    "open_clip": ("open_clip_model.safetensors", "open_clip_pytorch_model.bin"),
    "transformers": ("model.safetensors", "pytorch_model.bin"),
}
_INDEX = ".index.json"
SMALL_FILES = [
    *CONFIG_FILES.values(),
    *(f"{name}{_INDEX}" for names in _WEIGHTS.values() for name in names),
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
    "spiece.model",
]
"""All that is read of a checkpoint but its weights."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Location:
    """Where a checkpoint is.

    `folder` holds its configuration, preprocessing and tokenizer files; `weights` are the names of
    the files with the tensors, in `folder` too once they are fetched. `weight_map` says which of
    several files holds a tensor, and is empty for a single one. `repository` is None for a folder
    of the user's.
    """

    source: str
    folder: Path
    layout: Layout = "transformers"
    weights: tuple[str, ...] = ()
    weight_map: Mapping[str, str] = dataclasses.field(default_factory=dict)
    pickled: bool = False
    repository: str | None = None

    def fetch_weights(self) -> tuple[Path, ...]:
        """Download what is not there yet, and return the files.

        Raises:
            InputError: the files cannot be downloaded completely.
        """
        if self.repository is not None:
            _snapshot(self.repository, list(self.weights), revision=self.folder.name)
        paths = tuple(self.folder / name for name in self.weights)
        for path in paths:
            if not path.is_file():
                raise InputError(f"{path} is missing")
        return paths


def locate(source: str, *, allow_pickle: bool = False) -> Location:
    """Find a checkpoint; its weights are looked for, but not downloaded yet.

    Args:
        source: a name of the registry, `demo` for the small checkpoint that ships with the package,
            a folder, or a hub id such as `laion/CLIP-ViT-...`. A name of the registry is never
            taken for a folder, nor is `demo`; write `./NAME` for that.
        allow_pickle: whether `.bin` and `.pt` files may be used where there is no safetensors file.

    Raises:
        InputError: the name is unknown, or there is no checkpoint.
    """
    source = source.removeprefix("hf-hub:").removeprefix("https://huggingface.co/").rstrip("/")
    if source in REGISTRY:
        entry = REGISTRY[source]
        return _locate_repository(source, entry.hub_id, entry.layout, allow_pickle)
    folder = DEMO_FOLDER if source == DEMO else Path(source).expanduser()
    if folder.is_dir():
        names = {path.name for path in folder.iterdir()}
        return _choose(Location(source=source, folder=folder), names, None, allow_pickle)
    organisation, slash, _ = source.partition("/")
    hub_id = re.fullmatch(r"[\w.-]+/[\w.-]+", source) and source[0] not in ".-"
    if not hub_id or organisation in ARCHITECTURES or source.replace("/", "-", 1) in ARCHITECTURES:
        raise InputError(_unknown(source, bool(slash and not hub_id)))
    return _locate_repository(source, source, None, allow_pickle)


_SOME = ("ViT-B-32/openai", "ViT-B-16-SigLIP2/webli", "PE-Core-B-16/meta", DEMO)


def _unknown(source: str, like_a_path: bool) -> str:
    if like_a_path or source.startswith((".", "~")):
        return f"{source}: there is no such folder"
    names = [*REGISTRY, DEMO]
    # Papers write ViT-B/32 for what is called ViT-B-32 here.
    alike = [name for name in names if name.startswith(f"{source.replace('/', '-', 1)}/")]
    close = alike[:4] or difflib.get_close_matches(source, names, n=4, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(_SOME)}, ..."
    return f"{source} is no checkpoint of the registry, no folder and no hub id; {hint}"


def _locate_repository(
    source: str, repository: str, preferred: Layout | None, allow_pickle: bool
) -> Location:
    folder = _snapshot(repository, SMALL_FILES)
    try:
        names = set(huggingface_hub.HfApi().list_repo_files(repository, revision=folder.name))
    except (HTTPError, OSError):
        # The snapshot came from the cache, so the hub may well be out of reach.
        names = {path.name for path in folder.iterdir()}
    location = Location(source=source, folder=folder, repository=repository)
    return _choose(location, names, preferred, allow_pickle)


def _choose(
    location: Location, names: Collection[str], preferred: Layout | None, allow_pickle: bool
) -> Location:
    """The location with its layout and the files with the weights; safetensors first."""
    source, folder = location.repository or location.source, location.folder
    configs: list[Layout] = [layout for layout, config in CONFIG_FILES.items() if config in names]
    configs.sort(key=lambda layout: layout != preferred)
    if not configs:
        wanted = " nor ".join(CONFIG_FILES.values())
        raise InputError(f"{source} holds no checkpoint: neither {wanted} is there")
    for layout in configs:
        if weights := _whole_or_shards(folder, names, _WEIGHTS[layout][0]):
            return dataclasses.replace(location, layout=layout, **weights)
    looked_for = " or ".join(_WEIGHTS[layout][0] for layout in configs)
    pickles = sorted(name for name in names if name.endswith((".bin", ".pt", ".pth")))
    if not pickles:
        raise InputError(f"{source} holds no weights: {looked_for} was looked for")
    if not allow_pickle:
        raise InputError(
            f"{source} holds its weights only as {', '.join(pickles)}: pickles can run code when "
            "read; if allowed, tensors are read from them and nothing else (needs PyTorch)",
            argument="allow_pickle",
        )
    location = dataclasses.replace(location, pickled=True)
    for layout in configs:
        if weights := _whole_or_shards(folder, names, _WEIGHTS[layout][1]):
            return dataclasses.replace(location, layout=layout, **weights)
    if len(pickles) > 1:
        raise InputError(f"{source} holds several pickles, {', '.join(pickles)}: keep one of them")
    return dataclasses.replace(location, layout=configs[0], weights=(pickles[0],))


def _whole_or_shards(folder: Path, names: Collection[str], name: str) -> dict[str, Any]:
    """`weights` of one file, or also `weight_map` of shards; empty if there is neither."""
    if name in names:
        return {"weights": (name,)}
    if f"{name}{_INDEX}" not in names:
        return {}
    index, (stem, suffix) = folder / f"{name}{_INDEX}", name.rsplit(".", 1)
    weight_map = read_json(index).get("weight_map")
    files = list(weight_map.values()) if isinstance(weight_map, dict) else []
    if not files or not all(isinstance(file, str) and Path(file).name == file for file in files):
        raise InputError(f"{index} lists no shards in weight_map, or some outside its folder")
    shards = sorted(set(files))
    if missing := [shard for shard in shards if shard not in names]:
        raise InputError(f"{index} lists shards that are not there: {', '.join(missing)}")
    alike = re.compile(rf"{re.escape(stem)}-\d+-of-\d+\.{suffix}")
    if extra := sorted(other for other in set(names) - set(shards) if alike.fullmatch(other)):
        raise InputError(f"{index} does not list shards that are there: {', '.join(extra)}")
    return {"weights": tuple(shards), "weight_map": weight_map}


def _snapshot(repository: str, names: list[str], revision: str | None = None) -> Path:
    """Files of a repository in the hub's cache, downloaded if need be, with progress bars."""
    try:
        return Path(
            huggingface_hub.snapshot_download(repository, revision=revision, allow_patterns=names)
        )
    except (HTTPError, OSError) as error:
        said = (str(error).strip() or repr(error)).splitlines()[0]
        reasons = {
            GatedRepoError: "is gated: accept its terms on the hub and log in with `hf auth login`",
            RepositoryNotFoundError: "was not found on the hub (or is private); check the name",
            LocalEntryNotFoundError: "is not in the hub's cache, and the hub cannot be asked "
            f"(offline mode, or no connection): {said}",
            Exception: f"could not be downloaded: {said}; run again to resume",
        }
        reason = next(text for kind, text in reasons.items() if isinstance(error, kind))
        raise InputError(f"{repository} {reason}") from error
