"""What a probe wants embedded: views of images as files, and texts, for a program elsewhere.

An exported folder holds the views as PNG, `images.csv` and `texts.csv`, whose rows are what has to
be embedded, and `plan.json` with the digest of all of it.
"""

import functools
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from jaxtyping import UInt8
from PIL import Image

from jclip.data.images import ImageFile, decode
from jclip.files.atomic import replacing
from jclip.files.digests import json_digest
from jclip.files.json_files import write_json

PLAN_FILE = "plan.json"
_VIEWS = "views"
# Views are written once and read once: small files are not worth ten times the time.
_COMPRESSION = 1


class View(NamedTuple):
    """One picture that is embedded.

    Attributes:
        file: its name in the exported folder, which no other view has.
        image_set: of the image that it is a view of; "" where the probe knows no sets.
        image: that image's name.
        shift_index: which view of the image it is, by the probe's own label; "" if the only one.
        shift: of a panorama, in pixels to the right.
        box: `[x, y, w, h]` in pixels, where a part of the image was cut out.
    """

    file: str
    image_set: str
    image: str
    shift_index: str = ""
    shift: int | None = None
    box: tuple[float, ...] | None = None


class Plan(NamedTuple):
    """Views and distinct texts; `digest` changes with any of them, and with a picture."""

    views: tuple[View, ...]
    texts: tuple[str, ...]
    digest: str


type Pictures = tuple[int, Callable[[], Sequence[UInt8[np.ndarray, "h w 3"]]]]
"""The row of a view, and a function that makes its pixels and those of the views after it."""


def view_file(row: int, image: str, label: str = "") -> str:
    """The name of a view: its row, and what a person can tell it by."""
    words = "-".join(filter(None, (Path(image).stem, label)))
    return f"{_VIEWS}/{row:06d}-{re.sub(r'[^A-Za-z0-9._-]+', '_', words)[:60]}.png"


def make_plan(views: Sequence[View], texts: Sequence[str], digests: Sequence[str]) -> Plan:
    """A plan of views, with texts of which each is meant once, and digests of the images."""
    texts = tuple(dict.fromkeys(texts))
    return Plan(tuple(views), texts, json_digest([list(map(list, views)), texts, [*digests]]))


def single_pictures(parts: Sequence[ImageFile]) -> list[Pictures]:
    """The pixels of views that are each an image, or a part of one, as it is."""

    def make(part: ImageFile) -> list[UInt8[np.ndarray, "h w 3"]]:
        return [decode(part)]

    return [(row, functools.partial(make, part)) for row, part in enumerate(parts)]


def write_plan(folder: Path, probe: str, plan: Plan, pictures: Sequence[Pictures]) -> None:
    """Write a plan and its views; a folder with `plan.json`, which comes last, is whole.

    Raises:
        InputError: an image cannot be decoded.
    """
    (folder / _VIEWS).mkdir(parents=True, exist_ok=True)

    def write(each: Pictures) -> None:
        first, make = each
        for row, pixels in enumerate(make(), first):
            with replacing(folder / plan.views[row].file) as partial:
                Image.fromarray(pixels).save(partial, "PNG", compress_level=_COMPRESSION)

    with ThreadPoolExecutor() as threads:
        for _ in threads.map(write, pictures):
            pass
    _write_csv(folder / "images.csv", _image_table(plan))
    _write_csv(folder / "texts.csv", pa.table({"text": pa.array(plan.texts, pa.string())}))
    counts = {"views": len(plan.views), "texts": len(plan.texts)}
    write_json(folder / PLAN_FILE, {"probe": probe, "digest": plan.digest, **counts})


def _image_table(plan: Plan) -> pa.Table:
    """A row per view, with the columns that say something of this plan's."""
    rows = [view._asdict() for view in plan.views]
    for row in rows:
        row["box"] = row["box"] and " ".join(f"{side:g}" for side in row["box"])
    kept = [name for name in View._fields if any(row[name] not in ("", None) for row in rows)]
    return pa.table({name: [row[name] for row in rows] for name in kept})


def _write_csv(path: Path, table: pa.Table) -> None:
    with replacing(path) as partial:
        pa_csv.write_csv(table, partial)
