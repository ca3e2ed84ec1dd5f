"""Folders of features of boxes that a command line names, to stand in one table."""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

from jclip.data.features import Features, read_features
from jclip.errors import InputError


def read_box_features(
    folders: Sequence[str], supplied: Mapping[str, Features], *, repeated: bool = False
) -> dict[str, Features]:
    """The features of every folder, and those that were supplied, by the label that results have.

    Args:
        folders: of extract_features.
        supplied: by folder.
        repeated: see `read_features`.

    Raises:
        InputError: a folder holds no features of boxes, two are of different annotation files, or
            two have one label.
    """
    read = {folder: read_features(Path(folder), repeated=repeated) for folder in folders}
    read |= supplied
    _check(read)
    return dict(zip(feature_labels(list(read.values())), read.values(), strict=True))


def _check(read: Mapping[str, Features]) -> None:
    """Refuse what cannot stand in one table."""
    data = []
    for folder, features in read.items():
        if features.boxes is None:
            raise InputError(f"{folder}: holds whole images; boxes with negatives are needed")
        data.append((folder, features.boxes.digests))
    for (first, one), (second, other) in itertools.pairwise(data):
        if one != other:
            raise InputError(f"--features: {first} and {second} are of different annotation files")


def feature_labels(features: Sequence[Features]) -> list[str]:
    """A name for each: its model, and its fit and box scale where they are not the paper's.

    Raises:
        InputError: two have one name.
    """
    labels = []
    for one in features:
        origin = one.origin
        parts = [str(origin.model["name"])]
        parts += [origin.fit] * (origin.fit != "crop")
        parts += [f"scale {origin.box_scale:g}"] * (origin.box_scale != 1)
        labels.append(" · ".join(parts))
    if repeated := [label for label in labels if labels.count(label) > 1]:
        raise InputError(f"--features: {repeated[0]} is in two folders")
    return labels
