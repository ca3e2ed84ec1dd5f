"""Panoramas as generators and their evaluation code leave them: layouts, told by what lies there.

`panfusion`: the data set of PanFusion (Zhang et al. 2024), or the folder of results of its code;
`mvdiffusion`: eight pictures of a scene in a folder each; `survey`: `generated` beside a text with
a line for each; `panoeval`: JSON lines, or equirectangular pictures with a caption file each. All
else is a folder of images as every experiment reads it.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from jclip.data.captions import CaptionRules, caption_of, read_captions
from jclip.data.file_names import natural_order
from jclip.data.image_sources import FoundImages, find_images
from jclip.data.images import SUFFIXES, ImageFile, decode, inspect_images
from jclip.errors import InputError
from jclip.files.text_files import lines_of, read_text

Layout = Literal["auto", "panfusion", "mvdiffusion", "survey", "panoeval", "plain"]
VIEWS = 8
DEGREES = tuple(360 * k // VIEWS for k in range(VIEWS))
VIEW_PREFIX = "This is one view of a scene. "
"""Of MVDiffusion, before the caption of each view."""
_PANORAMAS = ("matterport_stitched_images", "matterport_aligned_images")
_CAPTIONS, _VIEW_CAPTIONS = "blip3_stitched", "blip3"
_PANOEVAL_FIELDS = ("gen_img_path", "real_img_path")
# The first line counts in all of these, as their code has it.
_FIRST_LINE = CaptionRules(lines="first")


def find_layout(
    path: Path,
    pixel_limit: int,
    layout: Layout = "auto",
    split: str = "test",
    *,
    natural: bool = False,
) -> FoundImages | None:
    """The panoramas of a folder or file in one of the layouts, none decoded, with their captions.

    None if it is in none; see `jclip.data.panorama_sets.find_panoramas`. `natural` takes the real
    pictures that MVDiffusion puts beside its own.

    Raises:
        InputError: it is not in the layout that was asked for, or something of it is missing.
    """
    readers: dict[str, Callable[[], FoundImages | None]] = {
        "panfusion": lambda: (
            _panfusion_data(path, pixel_limit, split) or _panfusion_results(path, pixel_limit)
        ),
        "mvdiffusion": lambda: _mvdiffusion(path, pixel_limit, natural),
        "survey": lambda: _survey(path, pixel_limit),
        "panoeval": lambda: _panoeval(path, pixel_limit),
    }
    for read in readers.values() if layout == "auto" else (readers[layout],):
        if (found := read()) is not None:
            return found
    if layout != "auto":
        raise InputError(f"{path}: not in the layout {layout}", argument="layout")
    return None


def _panfusion_data(root: Path, pixel_limit: int, split: str) -> FoundImages | None:
    """`SCENE/matterport_stitched_images/VIEW.png`, captions in `blip3_stitched` and `blip3`."""
    kinds = [kind for kind in _PANORAMAS if any(root.glob(f"*/{kind}"))]
    if not kinds:
        return None
    files = sorted(root.glob(f"*/{kinds[0]}/*"), key=lambda file: natural_order(str(file)))
    files = {(f.parents[1].name, f.stem): f for f in files if f.suffix.lower() in SUFFIXES}
    wanted, missing = list(files), []
    if split != "all" and (listed := _listed_views(root, split)) is not None:
        wanted = [pair for pair in listed if pair in files]
        missing = ["_".join(pair) for pair in listed if pair not in files]
    if not wanted:
        raise InputError(f"{root}: none of the panoramas of split {split}", argument="split")
    images = _named(["_".join(pair) for pair in wanted], [files[p] for p in wanted], pixel_limit)
    own, views = [], []
    for scene, view in wanted:
        own.append(caption_of(root / scene / _CAPTIONS / f"{view}.txt", _FIRST_LINE))
        around = [root / scene / _VIEW_CAPTIONS / f"{view}_{degree}.txt" for degree in DEGREES]
        views.append(tuple(caption_of(p, _FIRST_LINE) for p in around if p.exists()))
    views = _all_or_none(root, images, views)
    said = f"{root}: {len(missing)} panoramas of split {split} are not there: {missing[:3]}"
    notices = (said,) * bool(missing)
    found = FoundImages(root.resolve().name, images, None, tuple(own), 1, _CAPTIONS, False, notices)
    return found._replace(view_captions=views, missing=tuple(missing))


def _listed_views(root: Path, split: str) -> list[tuple[str, str]] | None:
    """Scene and view of every row of `SPLIT.npy`, or line of `lo_SPLIT.txt`."""
    array, text = root / f"{split}.npy", root / f"lo_{split}.txt"
    if text.exists():
        parts = [line.strip().partition("_") for line in lines_of(read_text(text)) if line.strip()]
        return [(scene, view) for scene, _, view in parts]
    if not array.exists():
        there = sorted(path.stem for path in root.glob("*.npy"))
        if there:
            known = ", ".join([*there, "all"])
            raise InputError(f"{root}: no split {split}; there are {known}", argument="split")
        return None
    try:
        rows = np.load(array, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"{array}: not an array of names ({error})") from None
    if rows.ndim != 2 or rows.dtype.kind != "U":
        raise InputError(f"{array}: {rows.dtype}{list(rows.shape)}, not names of six faces a row")
    paths = [str(row[0]).replace("\\", "/").split("/") for row in rows]
    return [(path[0], path[-1].partition("_")[0]) for path in paths]


def _panfusion_results(root: Path, pixel_limit: int) -> FoundImages | None:
    """`SCENE_VIEW/pano.png` with `prompt.txt`, in the folder, or in `test` or `predict` below.

    `predict` has `pano.jpg`, and `SCENE_VIEW_000003` where one prompt was drawn several times.
    """
    for folder in (root, root / "test", root / "predict"):
        files = [p for p in folder.glob("*/pano.*") if p.suffix.lower() in SUFFIXES]
        if files:
            break
    else:
        return None
    files.sort(key=lambda file: natural_order(file.parent.name))
    images = _named([file.parent.name for file in files], files, pixel_limit)
    own = [caption_of(file.parent / "prompt.txt", _FIRST_LINE) for file in files]
    drawn = {file.parent.name for file in files}
    lost = [p.name for p in sorted(folder.iterdir()) if p.is_dir() and p.name not in drawn]
    notices = (f"{folder}: {len(lost)} results have no pano.png and are left out: {lost[:3]}",)
    shown = folder.resolve()
    name = shown.parent.name if shown.name in ("test", "predict") else shown.name
    own = tuple(own)
    found = FoundImages(name, images, None, own, 1, "prompt.txt", False, notices * bool(lost))
    return found._replace(missing=tuple(lost))


def _mvdiffusion(root: Path, pixel_limit: int, natural: bool) -> FoundImages | None:
    """`SCENE_VIEW/{0..7}.png` with the eight lines of `prompt.txt`, with MVDiffusion's prefix.

    The `natural` ones are `{0..7}_natural.png`.
    """
    ending = "_natural" if natural else ""
    for folder in (root, root / "images"):
        scenes = [p.parent for p in folder.glob("*/prompt.txt") if any(p.parent.glob("0.*"))]
        if scenes:
            break
    else:
        return None
    scenes.sort(key=lambda scene: natural_order(scene.name))
    images, views = [], []
    for scene in scenes:
        lines = [line.strip() for line in lines_of(read_text(scene / "prompt.txt").strip())]
        if len(lines) != VIEWS:
            raise InputError(
                f"{scene / 'prompt.txt'}: {len(lines)} lines, not one of each view; of PanFusion's "
                "results pano.png is scored, which its code merges from these pictures"
            )
        views.append(tuple(line.removeprefix(VIEW_PREFIX) for line in lines))
        images.append(_stacked(scene, pixel_limit, ending))
    whole = tuple(own[0] for own in views)
    name = folder.resolve().parent.name if folder.name == "images" else folder.resolve().name
    found = FoundImages(name + ending, tuple(images), None, whole, 1, "prompt.txt")
    return found._replace(view_captions=tuple(views), stacked=True)


def _stacked(scene: Path, pixel_limit: int, ending: str) -> ImageFile:
    """The eight pictures of a folder, one below the other."""
    paths = []
    for k in range(VIEWS):
        own = [p for p in sorted(scene.glob(f"{k}{ending}.*")) if p.suffix.lower() in SUFFIXES]
        if not own:
            raise InputError(f"{scene}: no picture {k}{ending} of {VIEWS}")
        paths.append(own[0])
    files = inspect_images(paths, pixel_limit)
    sizes = {(file.height, file.width) for file in files}
    if len(sizes) > 1:
        raise InputError(f"{scene}: pictures of {len(sizes)} sizes; they have to be of one")
    height, width = sizes.pop()
    digest = hashlib.sha256("\n".join(file.digest for file in files).encode()).hexdigest()

    def pixels() -> np.ndarray:
        return np.concatenate([decode(file) for file in files])

    return ImageFile(scene.name, pixels, VIEWS * height, width, digest)


def _survey(root: Path, pixel_limit: int) -> FoundImages | None:
    """`generated` beside a text, whose line k is of the k-th path in lexicographic order."""
    text = root / "prompts.txt"
    if not (text.exists() and (root / "generated").is_dir()):
        return None
    found = find_images(str(root / "generated"), pixel_limit)
    names = [image.name for image in found.images]
    own = read_captions(text, names, rules=CaptionRules(order="lexicographic")).texts
    said = f"{text}: captions paired by lexicographic order; {names[-1]} = {own[-1]!r}"
    notices = (*found.notices, said)
    name = root.resolve().name
    return FoundImages(name, found.images, None, own, 1, "prompts.txt", False, notices)


def _panoeval(path: Path, pixel_limit: int) -> FoundImages | None:
    """JSON lines of `gen_img_path` with `gen_image_prompt`, or `real_img_path`; or a folder.

    The folder holds one such file, or `SCENE/ID_equirectangular.jpg` with `SCENE/ID_caption.txt`.
    """
    if path.is_dir():
        pictures = [p for p in path.glob("*/*_equirectangular.*") if p.suffix.lower() in SUFFIXES]
        if not pictures:
            lists = [p for p in sorted(path.glob("*.jsonl")) if _panoeval_rows(p)]
            generated = [p for p in lists if "gen_img_path" in _panoeval_rows(p)[0]]
            return _panoeval(generated[0], pixel_limit) if len(generated) == 1 else None
        pictures.sort(key=lambda file: natural_order(str(file)))
        stems = [p.stem.removesuffix("_equirectangular") for p in pictures]
        names = [f"{p.parent.name}/{stem}" for p, stem in zip(pictures, stems, strict=True)]
        texts = [p.parent / f"{stem}_caption.txt" for p, stem in zip(pictures, stems, strict=True)]
        own = tuple(caption_of(text, _FIRST_LINE) for text in texts)
        images = _named(names, pictures, pixel_limit)
        return FoundImages(path.resolve().name, images, None, own, 1, "_caption.txt")
    if path.suffix != ".jsonl" or not (rows := _panoeval_rows(path)):
        return None
    field = "gen_img_path" if "gen_img_path" in rows[0] else "real_img_path"
    for line, row in enumerate(rows, start=1):
        if not isinstance(row.get(field), str):
            raise InputError(f"{path}, entry {line}: field {field!r} is missing or no text")
    names = [str(row[field]) for row in rows]
    images = _named(names, [path.parent / name for name in names], pixel_limit)
    own = tuple(row.get("gen_image_prompt") for row in rows) if field == "gen_img_path" else ()
    return FoundImages(path.stem, images, None, own, 1, path.name)


def _panoeval_rows(path: Path) -> list[dict]:
    """The objects of a file of JSON lines; none if no picture of PanoEval's is named anywhere.

    Raises:
        InputError: one is, and a line is no JSON object.
    """
    text = read_text(path)
    if not any(f'"{field}"' in text for field in _PANOEVAL_FIELDS):
        return []
    rows = []
    for number, line in enumerate(lines_of(text), start=1):
        if not line.strip():
            continue
        try:
            rows.append(json.loads(line))
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}, line {number}: not JSON ({error})") from None
        if not isinstance(rows[-1], dict):
            raise InputError(f"{path}, line {number}: not an object with {_PANOEVAL_FIELDS[0]!r}")
    return rows if {*_PANOEVAL_FIELDS} & {*rows[0]} else []


def _named(names: Sequence[str], paths: Sequence[Path], limit: int) -> tuple[ImageFile, ...]:
    """Inspected images under names of their own."""
    files = inspect_images(paths, limit)
    return tuple(
        ImageFile(name, f.content, f.height, f.width, f.digest, f.unlike)
        for name, f in zip(names, files, strict=True)
    )


def _all_or_none(
    root: Path, images: Sequence[ImageFile], views: Sequence[tuple[str, ...]]
) -> tuple[tuple[str, ...], ...]:
    """Captions of views, where every image has eight; none where no image has any.

    Raises:
        InputError: only some are there.
    """
    if not any(views):
        return ()
    for image, own in zip(images, views, strict=True):
        if len(own) != VIEWS:
            raise InputError(f"{root}: {image.name} has {len(own)} captions of its {VIEWS} views")
    return tuple(views)
