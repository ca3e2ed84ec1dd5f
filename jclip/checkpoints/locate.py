"""From the name of a checkpoint to files on this machine."""

import dataclasses
import re
from collections.abc import Collection
from importlib import resources
from pathlib import Path
from typing import Any

from jclip.checkpoints.architectures import ARCHITECTURES
from jclip.checkpoints.causes import Layout, layout_of
from jclip.checkpoints.hub import fetch, list_files, listed_files
from jclip.checkpoints.location import (
    CONFIG_FILES,
    INDEX,
    PICKLES,
    SAFETENSORS,
    TOKENIZER,
    VOCABULARIES,
    Location,
    files_beside,
)
from jclip.checkpoints.names import (
    DEMO,
    PICKLE_SUFFIXES,
    WEIGHTS_SUFFIXES,
    hub_id_of,
    path_of,
)
from jclip.checkpoints.registry import REGISTRY
from jclip.errors import InputError
from jclip.files.json_files import read_json
from jclip.files.tensors import open_tensors

DEMO_FOLDER = Path(str(resources.files("jclip.demo") / "checkpoint"))
"""Of the small checkpoint that ships with the package."""


def locate(source: str, *, allow_pickle: bool = False, architecture: str | None = None) -> Location:
    """Find a checkpoint; its weights are looked for, but not downloaded yet.

    Args:
        source: a name of the registry, `demo` for the small checkpoint that ships with the package,
            a folder, a file of weights, or a hub id such as `laion/CLIP-ViT-...`. A name of the
            registry is never taken for a folder, nor is `demo`; write `./NAME` for that.
        allow_pickle: whether `.bin` and `.pt` files may be used where there is no safetensors file.
        architecture: of a file of weights that no configuration lies beside.

    Raises:
        InputError: the name is unknown, or there is no checkpoint.
    """
    if not source.strip():
        raise InputError("an empty name where a checkpoint is meant")
    path = path_of(source)
    if source not in (*REGISTRY, DEMO) and path.is_file():
        return _locate_file(source, path, allow_pickle, architecture)
    if architecture is not None:
        raise InputError(
            f"{source} is not a file of weights, and its architecture is its own",
            argument="architecture",
        )
    if source in REGISTRY:
        entry = REGISTRY[source]
        return _locate_repository(source, entry.hub_id, None, entry.layout, allow_pickle)
    folder = DEMO_FOLDER if source == DEMO else path
    if folder.is_dir():
        return _located(Location(source=source, folder=folder), None, allow_pickle)
    repository, revision = hub_id_of(source)
    name = repository if revision is None else f"{repository}@{revision}"
    return _locate_repository(name, repository, revision, None, allow_pickle)


def _locate_file(source: str, path: Path, allow_pickle: bool, architecture: str | None) -> Location:
    """A file of weights: the configuration beside it, or an architecture, says what they are."""
    if path.suffix.lower() not in WEIGHTS_SUFFIXES:
        raise InputError(
            f"{source} is a file, and none of weights ({', '.join(WEIGHTS_SUFFIXES)}); a "
            f"checkpoint is called by its folder, {path.parent}"
        )
    pickled = path.suffix.lower() in PICKLE_SUFFIXES
    if pickled and not allow_pickle:
        raise _pickles_only(source, [path.name])
    layout = layout_of(open_tensors([path], pickled=pickled).shapes)
    if layout is None:
        raise InputError(f"{source} holds no CLIP: none of its tensors has a name of one")
    standard = path.name in (SAFETENSORS[layout], PICKLES[layout])
    names = {name for name in listed_files(path.parent) if (path.parent / name).is_file()}
    config = CONFIG_FILES[layout]
    beside = () if architecture is not None else files_beside(layout, names)
    if architecture is None and config not in names:
        others = " and ".join(other for other in CONFIG_FILES.values() if other in names)
        raise InputError(
            f"{source} has names of {layout}, and {others or 'nothing'} beside it, no {config}, "
            f"to say which network it is; known: {', '.join(ARCHITECTURES)}",
            argument="architecture",
        )
    return Location(
        source=source,
        folder=path.parent,
        layout=layout,
        weights=(path.name,),
        pickled=pickled,
        beside=beside,
        file=None if standard and architecture is None else path,
        architecture=architecture,
    )


def _locate_repository(
    source: str,
    repository: str,
    revision: str | None,
    preferred: Layout | None,
    allow_pickle: bool,
) -> Location:
    names, folder = list_files(repository, revision)
    if folder is None:
        layout, weights = _choose(repository, names, preferred, allow_pickle)
        wanted = [*files_beside(layout, names), *[weights] * weights.endswith(INDEX)]
        folder = fetch(repository, wanted, revision)
        names |= {path.name for path in folder.iterdir()}
        location = Location(source=source, folder=folder, repository=repository)
        return _settled(location, names, names, layout, weights, preferred)
    location = Location(source=source, folder=folder, repository=repository)
    return _located(location, preferred, allow_pickle)


def _located(location: Location, preferred: Layout | None, allow_pickle: bool) -> Location:
    """What is chosen of a folder; links that lead nowhere do not count."""
    folder, name = location.folder, location.repository or location.source
    listed = set(listed_files(folder))
    names = {name for name in listed if (folder / name).is_file()}
    if not names & set(CONFIG_FILES.values()):
        raise InputError(_no_checkpoint(name, folder, listed))
    try:
        layout, weights = _choose(name, names, preferred, allow_pickle)
    except InputError as error:
        gone = sorted(name for name in listed - names if name.endswith(WEIGHTS_SUFFIXES))
        gone = [name for name in gone if (folder / name).is_symlink()]
        if not gone:
            raise
        raise InputError(f"{error.message}; links that lead nowhere: {', '.join(gone)}") from None
    return _settled(location, names, listed, layout, weights, preferred)


def _no_checkpoint(source: str, folder: Path, names: Collection[str]) -> str:
    """Why a folder without a configuration is no checkpoint."""
    wanted = " nor ".join(CONFIG_FILES.values())
    if folder.name.startswith("models--") and "snapshots" in names:
        hub_id = folder.name.removeprefix("models--").replace("--", "/")
        return f"{source} is a folder of the hub's cache: it is called {hub_id}"
    if "adapter_config.json" in names:
        return f"{source} holds a LoRA adapter and no checkpoint: give it beside its model"
    if gone := [name for name in CONFIG_FILES.values() if (folder / name).is_symlink()]:
        return f"{source} holds no checkpoint: the link {gone[0]} leads nowhere"
    weights = sorted(name for name in names if name.endswith(WEIGHTS_SUFFIXES))
    hint = f"; a file alone is called by its own name, {folder / weights[0]}" if weights else ""
    return f"{source} holds no checkpoint: neither {wanted} is there{hint}"


def _choose(
    source: str, names: Collection[str], preferred: Layout | None, allow_pickle: bool
) -> tuple[Layout, str]:
    """The layout, and the file with the weights or its index; safetensors first."""
    configs: list[Layout] = [layout for layout, config in CONFIG_FILES.items() if config in names]
    configs.sort(key=lambda layout: layout != preferred)
    if not configs:
        wanted = " nor ".join(CONFIG_FILES.values())
        raise InputError(f"{source} holds no checkpoint: neither {wanted} is there")
    for layout in configs:
        if found := _whole_or_index(names, SAFETENSORS[layout]):
            return layout, found
    looked_for = " or ".join(SAFETENSORS[layout] for layout in configs)
    pickles = sorted(name for name in names if name.endswith((".bin", ".pt", ".pth")))
    if not pickles:
        raise InputError(f"{source} holds no weights: {looked_for} was looked for")
    if not allow_pickle:
        raise _pickles_only(source, pickles)
    for layout in configs:
        if found := _whole_or_index(names, PICKLES[layout]):
            return layout, found
    if len(pickles) > 1:
        raise InputError(f"{source} holds several pickles, {', '.join(pickles)}: keep one of them")
    return configs[0], pickles[0]


def _pickles_only(source: str, pickles: list[str]) -> InputError:
    return InputError(
        f"{source} holds its weights only as {', '.join(pickles)}: pickles can run code when "
        "read; if allowed, tensors are read from them and nothing else (needs PyTorch)",
        argument="allow_pickle",
    )


def _whole_or_index(names: Collection[str], name: str) -> str | None:
    return next((found for found in (name, f"{name}{INDEX}") if found in names), None)


def _settled(
    location: Location,
    names: Collection[str],
    listed: Collection[str],
    layout: Layout,
    weights: str,
    preferred: Layout | None,
) -> Location:
    """The location with all that follows from the choice; `names` are there, `listed` should be."""
    folder, beside = location.folder, files_beside(layout, names)
    absent = set(files_beside(layout, listed)) - set(beside)
    if any(set(parts) <= set(beside) for parts in VOCABULARIES):
        absent -= set(TOKENIZER)  # one form of a vocabulary is as good as both
    location = dataclasses.replace(
        location,
        layout=layout,
        pickled=not weights.removesuffix(INDEX).endswith(".safetensors"),
        beside=beside,
        absent=tuple(sorted(absent)),
    )
    configs = [config for config in CONFIG_FILES.values() if config in names]
    if len(configs) > 1 and preferred is None:
        (other,) = set(configs) - {CONFIG_FILES[layout]}
        notice = (
            f"{location.source} holds two layouts: {CONFIG_FILES[layout]} with "
            f"{weights.removesuffix(INDEX)} was read, {other} was not."
        )
        location = dataclasses.replace(location, notices=(notice,))
    if not weights.endswith(INDEX):
        return dataclasses.replace(location, weights=(weights,))
    return dataclasses.replace(location, **_shards(folder / weights, names))


def _shards(index: Path, names: Collection[str]) -> dict[str, Any]:
    """`weights` and `weight_map` of the shards that an index lists."""
    stem, suffix = index.name.removesuffix(INDEX).rsplit(".", 1)
    weight_map = read_json(index).get("weight_map")
    files = list(weight_map.values()) if isinstance(weight_map, dict) else []
    if not files or not all(isinstance(file, str) and Path(file).name == file for file in files):
        raise InputError(f"{index} lists no shards in weight_map, or some outside its folder")
    shards = sorted(set(files))
    if missing := [shard for shard in shards if shard not in names]:
        raise InputError(f"{index} lists shards that are not there: {', '.join(missing[:3])}")
    alike = re.compile(rf"{re.escape(stem)}-\d+-of-\d+\.{suffix}")
    if extra := sorted(other for other in set(names) - set(shards) if alike.fullmatch(other)):
        raise InputError(f"{index} does not list shards that are there: {', '.join(extra[:3])}")
    return {"weights": tuple(shards), "weight_map": weight_map}
