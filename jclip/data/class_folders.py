"""Images in a folder for each class, as ImageNet and torchvision's ImageFolder have them."""

import csv
import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from jclip.data.feature_inputs import images_digest
from jclip.data.file_names import is_hidden, natural_order, require_unicode
from jclip.data.images import DEFAULT_PIXEL_LIMIT, SUFFIXES, ImageFile, files_of, inspect_images
from jclip.data.view_plan import Plan, View, make_plan, view_file
from jclip.errors import InputError
from jclip.files.text_files import lines_of, read_text


@dataclasses.dataclass(frozen=True)
class ClassFolders:
    """N images of C classes; nothing is decoded yet.

    Attributes:
        images: named by folder and file.
        labels: `[N]`, the class of each.
        classes: `[C]`, what each class is called in a prompt.
        digest: over names, classes and images.
    """

    images: tuple[ImageFile, ...]
    labels: Int64[np.ndarray, " n"]
    classes: tuple[str, ...]
    digest: str

    def plan(self, prompts: Sequence[str]) -> Plan:
        """Every image and prompt, for an encoder elsewhere."""
        views = [
            View(view_file(row, image.name), "", image.name)
            for row, image in enumerate(self.images)
        ]
        return make_plan(views, prompts, [self.digest])


def open_class_folders(
    folder: Path, names: Path | None = None, pixel_limit: int = DEFAULT_PIXEL_LIMIT
) -> ClassFolders:
    """The images below a folder, each in the folder of its class; all headers are checked.

    Args:
        folder: of the classes' folders.
        names: a file of `folder,name` rows that says what the classes are called; by default their
            folders' names, an underscore as a blank.
        pixel_limit: of one image, in pixels.

    Raises:
        InputError: the folder is missing, has fewer than two classes or one without images, or one
            that the file of names leaves out; two classes have one name; or see `inspect_images`.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder of images", argument="images")
    require_unicode(folder)
    found = sorted(
        (p.name for p in os.scandir(folder) if p.is_dir() and not is_hidden(p.name)),
        key=natural_order,
    )
    if len(found) < 2:
        raise InputError(
            f"{folder}: {len(found)} folders of classes in it, and two or more are needed",
            argument="images",
        )
    called = {name: name.replace("_", " ") for name in found} if names is None else _named(names)
    if absent := [name for name in found if name not in called]:
        raise InputError(f"{names}: no name for the folder {absent[0]!r}", argument="class_names")
    classes = tuple(called[name] for name in found)
    if repeated := [name for name in classes if classes.count(name) > 1]:
        raise InputError(f"{repeated[0]!r} is the name of two classes", argument="class_names")
    images, labels = [], []
    for label, name in enumerate(found):
        files = files_of(folder / name, "**", SUFFIXES)
        if not files:
            raise InputError(f"{folder / name}: no image of this class", argument="images")
        images += inspect_images(files, pixel_limit, below=folder)
        labels += [label] * len(files)
    digest = images_digest(
        {
            f"{image.name}\0{classes[label]}": image
            for image, label in zip(images, labels, strict=True)
        }
    )
    return ClassFolders(tuple(images), np.array(labels, np.int64), classes, digest)


def _named(path: Path) -> Mapping[str, str]:
    if not path.is_file():
        raise InputError(f"{path}: no such file", argument="class_names")
    found: dict[str, str] = {}
    for number, row in enumerate(csv.reader(lines_of(read_text(path))), 1):
        if not any(cell.strip() for cell in row) or (number == 1 and row == ["folder", "name"]):
            continue
        if len(row) != 2 or not row[1].strip():
            raise InputError(f"{path}, line {number}: not of the form folder,name: {row!r:.60}")
        folder, name = (cell.strip() for cell in row)
        if folder in found:
            raise InputError(f"{path}, line {number}: the folder {folder!r} a second time")
        found[folder] = name
    return found
