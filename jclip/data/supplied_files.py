"""Embeddings that another program wrote: safetensors, `.npy`, and clip-retrieval's folders."""

import dataclasses
import functools
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Shaped

from jclip.data.supplied_index import Index, find_index, name_of, read_index
from jclip.errors import InputError
from jclip.files.tensors import SafetensorsTensors

EMBEDDINGS_FILE = "embeddings.safetensors"
_FLOATS = ("float16", "bfloat16", "float32", "float64")
_HINTS = (
    ("*.pt", "is a pickle of PyTorch: safetensors.torch.save_file({{'image_embeds': ..., "
     "'text_embeds': ...}}, '{file}') writes what is read"),
    ("*.pth", "is a pickle of PyTorch: safetensors.torch.save_file writes {file}"),
    ("*.pkl", "is a pickle: numpy.save('image_embeds.npy', ...) and 'text_embeds.npy' are read"),
    ("*.pickle", "is a pickle: numpy.save('image_embeds.npy', ...) and 'text_embeds.npy' are read"),
    ("*.tar", "is a tar of webdataset: stack its .npy into image_embeds.npy, a row each, with "
     "their names in images.csv (column file)"),
    ("vectors.npy", "is mteb's cache, whose index.json holds hashes for names: encode the exported "
     "files again and save image_embeds.npy and text_embeds.npy"),
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Tower:
    """The embeddings `[N, D]` of a tower, and which row is what.

    `where` names their file, `stored` the dtype that they had there.
    """

    where: str
    values: Float32[np.ndarray, "n d"]
    stored: str
    index: Index
    files: tuple[Path, ...]


@dataclasses.dataclass(frozen=True)
class _Layout:
    """How a tower's files are called; clip-retrieval's parts are numbered."""

    tensor: str
    stem: str
    folder: str
    columns: tuple[str, str]


_IMAGES = _Layout("image_embeds", "images", "img_emb", ("file", "image_path"))
_TEXTS = _Layout("text_embeds", "texts", "text_emb", ("text", "caption"))


def read_towers(folder: Path, plans: Sequence[Path]) -> tuple[Tower, Tower, dict[str, str]]:
    """Embeddings of images and of texts, checked, and what the file says of itself.

    Args:
        folder: with embeddings.
        plans: folders in which an index is looked for.

    Raises:
        InputError: there are none, or naming the file and the row: not finite, of no length, of
            another number than the index has, or of another width than the other tower's.
    """
    tensors = None
    if (file := folder / EMBEDDINGS_FILE).is_file():
        tensors = SafetensorsTensors([file])
    images, texts = (_tower(folder, plans, layout, tensors) for layout in (_IMAGES, _TEXTS))
    widths = [tower.values.shape[1] for tower in (images, texts)]
    if widths[0] != widths[1]:
        raise InputError(
            f"{images.where}: {widths[0]} numbers an image, and {texts.where}: {widths[1]} a text; "
            "of a model whose score is no cosine, scores.csv (file, text, score) is read"
        )
    return images, texts, dict(tensors.metadata) if tensors else {}


def _tower(
    folder: Path, plans: Sequence[Path], layout: _Layout, tensors: SafetensorsTensors | None
) -> Tower:
    parts = _parts(folder / layout.folder, layout.folder, ".npy")
    read: dict[str, tuple[list[Path], Callable[[], np.ndarray]]] = {}
    if tensors and layout.tensor in tensors.shapes:
        file = folder / EMBEDDINGS_FILE
        read[f"{file}, {layout.tensor}"] = [file], functools.partial(tensors.read, layout.tensor)
    arrays = [folder / f"{layout.tensor}.npy"]
    for files in (arrays if arrays[0].is_file() else [], parts):
        if files:
            read[name_of(files)] = files, functools.partial(_load_all, files)
    if not read:
        raise InputError(_nothing(folder, layout, tensors))
    if len(read) > 1:
        first, second, *_ = read
        raise InputError(f"{first} and {second}: one of them is meant; remove the other")
    ((where, (files, load)),) = read.items()
    values = load()
    _check(where, values)
    index = _index(folder, plans, layout, bool(parts))
    if len(values) != len(index.rows):
        raise InputError(f"{where}: {len(values)} rows, and {index.name} has {len(index.rows)}")
    tower = Tower(where, values.astype(np.float32), values.dtype.name, index, tuple(files))
    _check_rows(tower, index.texts_of(layout.columns[0]))
    return tower


def _index(folder: Path, plans: Sequence[Path], layout: _Layout, parted: bool) -> Index:
    """What each row is, with clip-retrieval's columns called as here."""
    if parted and (parts := _parts(folder / "metadata", "metadata", ".parquet")):
        index, (ours, theirs) = read_index(parts), layout.columns
        index.texts_of(theirs)
        return index._replace(rows=[{ours: row[theirs]} for row in index.rows])
    if (path := find_index(plans, layout.stem)) is None:
        raise InputError(f"{folder}: no {layout.stem}.csv, which says what each row is of")
    return read_index([path])


def _parts(folder: Path, stem: str, suffix: str) -> list[Path]:
    """The numbered parts of a folder of clip-retrieval, in order.

    Raises:
        InputError: a part between two others is missing.
    """
    numbered = {}
    for path in folder.glob(f"{stem}_*{suffix}") if folder.is_dir() else ():
        if found := re.fullmatch(rf"{stem}_(\d+){re.escape(suffix)}", path.name):
            numbered[int(found[1])] = path
    for number in range(len(numbered)):
        if number not in numbered:
            raise InputError(f"{folder}: no part {stem}_{number}{suffix}; later ones are there")
    return [numbered[number] for number in sorted(numbered)]


def _load_all(paths: Sequence[Path]) -> Shaped[np.ndarray, "..."]:
    parts = [_load(path) for path in paths]
    for path, part in zip(paths, parts, strict=True):
        if (part.shape[1:], part.dtype) != (parts[0].shape[1:], parts[0].dtype):
            raise InputError(f"{path}: {part.dtype} {part.shape}, unlike {paths[0].name}")
    return np.concatenate(parts) if parts[0].ndim else parts[0]


def _load(path: Path) -> Shaped[np.ndarray, "..."]:
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        reason = "holds Python objects, which are not read" if "pickle" in str(error) else error
        raise InputError(f"{path}: cannot be read as .npy ({reason})") from None


def _check(where: str, values: Shaped[np.ndarray, "..."]) -> None:
    if values.ndim != 2 or 0 in values.shape:
        raise InputError(f"{where}: shape {values.shape}; embeddings are [N, D]")
    if values.dtype.name not in _FLOATS:
        raise InputError(f"{where}: {values.dtype.name} values; embeddings are floating-point")


def _check_rows(tower: Tower, names: Sequence[str]) -> None:
    """Refuse rows that have no direction, in float32."""
    lengths = np.sqrt(np.einsum("nd,nd->n", tower.values, tower.values))
    for wrong, said in ((~np.isfinite(lengths), "not finite"), (lengths == 0, "of length zero")):
        if wrong.any():
            row = int(np.argmax(wrong))
            raise InputError(f"{tower.where}, row {row} (from 0; {names[row]:.80}): {said}")


def _nothing(folder: Path, layout: _Layout, tensors: SafetensorsTensors | None) -> str:
    """What to say where a tower has no embeddings."""
    if not folder.is_dir():
        return f"{folder}: no such folder of embeddings"
    if tensors is not None:
        there = ", ".join(tensors.shapes) or "nothing"
        return f"{folder / EMBEDDINGS_FILE}: no tensor {layout.tensor!r}; there is {there}"
    for pattern, how in _HINTS:
        if found := sorted(folder.glob(pattern)):
            return f"{found[0]} {how.format(file=EMBEDDINGS_FILE)}"
    return (
        f"{folder}: no {EMBEDDINGS_FILE}, {layout.tensor}.npy or {layout.folder}/ of clip-retrieval"
    )
