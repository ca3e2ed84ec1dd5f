"""From the name of a checkpoint to files on this machine."""

import dataclasses
import difflib
import re
from collections.abc import Collection
from importlib import resources
from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import (
    GatedRepoError,
    HTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

from jclip.checkpoints.fields import read_json
from jclip.checkpoints.registry import REGISTRY, Layout
from jclip.errors import InputError
from jclip.models import ARCHITECTURES

__all__ = ["CONFIG_FILES", "DEMO", "Location", "locate"]

DEMO = "demo"

CONFIG_FILES: dict[Layout, str] = {
    "open_clip": "open_clip_config.json",
    "transformers": "config.json",
}
_SAFETENSORS: dict[Layout, str] = {
    "open_clip": "open_clip_model.safetensors",
    "transformers": "model.safetensors",
}
_PICKLES: dict[Layout, str] = {
    "open_clip": "open_clip_pytorch_model.bin",
    "transformers": "pytorch_model.bin",
}
_INDEX = ".index.json"
_SMALL_FILES = [
    *CONFIG_FILES.values(),
    *(f"{name}{_INDEX}" for name in [*_SAFETENSORS.values(), *_PICKLES.values()]),
    "preprocessor_config.json",
    "processor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Location:
    """Where a checkpoint is.

    `folder` holds its configuration, preprocessing and tokenizer files; `weights` are the names of
    the files with the tensors, in `folder` too once they are fetched. `repository` is None for a
    folder of the user's.
    """

    source: str
    layout: Layout
    folder: Path
    weights: tuple[str, ...]
    pickled: bool = False
    repository: str | None = None

    def fetch_weights(self) -> tuple[Path, ...]:
        """Download what is not there yet, and return the files.

        Raises:
            InputError: the files cannot be downloaded, completely and undamaged.
        """
        if self.repository is not None:
            _snapshot(self.repository, list(self.weights), revision=self.folder.name)
        paths = tuple(self.folder / name for name in self.weights)
        for path in paths:
            if not path.is_file():
                raise InputError(f"{path} is missing")
        return paths

    def check_digest(self, path: Path, digest: str) -> None:
        """Compare a file with the SHA-256 by which the hub's cache calls it.

        Neither the download nor the format checks the bytes themselves.

        Raises:
            InputError: the file is damaged.
        """
        blob = path.resolve()
        named_by_digest = re.fullmatch("[0-9a-f]{64}", blob.name) is not None
        if self.repository is not None and named_by_digest and blob.name != digest:
            raise InputError(
                f"{self.repository}: {path.name} is damaged (its SHA-256 is {digest}); "
                f"delete {blob} and run again to download it anew"
            )


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
    if source in REGISTRY:
        entry = REGISTRY[source]
        return _locate_repository(source, entry.hub_id, entry.layout, allow_pickle)
    shipped = Path(str(resources.files("jclip.demo") / "checkpoint"))
    folder = shipped if source == DEMO else Path(source).expanduser()
    if folder.is_dir():
        names = {path.name for path in folder.iterdir()}
        layout, weights, pickled = _choose(folder, names, source, None, allow_pickle)
        return Location(
            source=source, layout=layout, folder=folder, weights=weights, pickled=pickled
        )
    organisation, slash, _ = source.partition("/")
    hub_id = re.fullmatch(r"[\w.-]+/[\w.-]+", source) and source[0] not in ".-"
    if not hub_id or organisation in ARCHITECTURES:
        raise InputError(_unknown(source, bool(slash and not hub_id)))
    return _locate_repository(source, source, None, allow_pickle)


def _unknown(source: str, like_a_path: bool) -> str:
    if like_a_path or source.startswith((".", "~")):
        return f"{source}: there is no such folder"
    names = [*REGISTRY, DEMO]
    close = difflib.get_close_matches(source, names, n=4, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(names)}"
    return f"{source} is no checkpoint of the registry, no folder and no hub id; {hint}"


def _locate_repository(
    source: str, repository: str, preferred: Layout | None, allow_pickle: bool
) -> Location:
    folder = _snapshot(repository, _SMALL_FILES)
    try:
        names = set(huggingface_hub.HfApi().list_repo_files(repository, revision=folder.name))
    except (HTTPError, OSError):
        # The snapshot came from the cache, so the hub may well be out of reach.
        names = {path.name for path in folder.iterdir()}
    layout, weights, pickled = _choose(folder, names, repository, preferred, allow_pickle)
    return Location(
        source=source,
        layout=layout,
        folder=folder,
        weights=weights,
        pickled=pickled,
        repository=repository,
    )


def _choose(
    folder: Path,
    names: Collection[str],
    source: str,
    preferred: Layout | None,
    allow_pickle: bool,
) -> tuple[Layout, tuple[str, ...], bool]:
    """The layout, the files with the weights, and whether they are pickles; safetensors first."""
    configs: list[Layout] = [layout for layout, config in CONFIG_FILES.items() if config in names]
    configs.sort(key=lambda layout: layout != preferred)
    if not configs:
        wanted = " nor ".join(CONFIG_FILES.values())
        raise InputError(f"{source} holds no checkpoint: neither {wanted} is there")
    for layout in configs:
        if weights := _whole_or_shards(folder, names, _SAFETENSORS[layout]):
            return layout, weights, False
    looked_for = " or ".join(_SAFETENSORS[layout] for layout in configs)
    pickles = sorted(name for name in names if name.endswith((".bin", ".pt", ".pth")))
    if not pickles:
        raise InputError(f"{source} holds no weights: {looked_for} was looked for")
    if not allow_pickle:
        raise InputError(
            f"{source} holds its weights only as {', '.join(pickles)}: pickles can run code when "
            "read; --allow-pickle reads tensors from them and nothing else (needs PyTorch)"
        )
    for layout in configs:
        if weights := _whole_or_shards(folder, names, _PICKLES[layout]):
            return layout, weights, True
    if len(pickles) > 1:
        raise InputError(f"{source} holds several pickles, {', '.join(pickles)}: keep one of them")
    return configs[0], (pickles[0],), True


def _whole_or_shards(folder: Path, names: Collection[str], name: str) -> tuple[str, ...]:
    """One file, or the shards that its index lists; empty if there is neither."""
    if name in names:
        return (name,)
    if f"{name}{_INDEX}" not in names:
        return ()
    index = folder / f"{name}{_INDEX}"
    shards = sorted(set(read_json(index).get("weight_map", {}).values()))
    if not shards or any(Path(shard).name != shard for shard in shards):
        raise InputError(f"{index} lists no shards in weight_map, or some outside its folder")
    if missing := [shard for shard in shards if shard not in names]:
        raise InputError(f"{index} lists shards that are not there: {', '.join(missing)}")
    return tuple(shards)


def _snapshot(repository: str, names: list[str], revision: str | None = None) -> Path:
    """Files of a repository in the hub's cache, downloaded if need be, with progress bars."""
    try:
        return Path(
            huggingface_hub.snapshot_download(repository, revision=revision, allow_patterns=names)
        )
    except GatedRepoError as error:
        raise InputError(
            f"{repository} is gated: accept its terms on the hub and log in with `hf auth login`"
        ) from error
    except RepositoryNotFoundError as error:
        raise InputError(
            f"{repository} was not found on the hub (or is private); check the name"
        ) from error
    except LocalEntryNotFoundError as error:
        raise InputError(
            f"{repository} is not in the hub's cache, and the hub cannot be asked "
            f"(offline mode, or no connection): {_first_line(error)}"
        ) from error
    except (HTTPError, OSError) as error:
        raise InputError(
            f"{repository} could not be downloaded: {_first_line(error)}; run again to resume"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or repr(error)).splitlines()[0]
