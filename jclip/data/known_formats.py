"""Which of the known files of annotations a JSON value is, told by the fields of its entries."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jclip.errors import InputError

FG_OVD = "boxes of FG-OVD (annotations with 'neg_category_ids')"
KARPATHY = "captions in Karpathy's layout, dataset_coco.json (images with 'sentences' and 'split')"
_BOXES = "COCO's or LVIS's boxes, without captions"
# The list, fields that its entries have, and what the file is.
_MARKS = (
    ("annotations", {"neg_category_ids"}, FG_OVD),
    ("images", {"sentences"}, KARPATHY),
    ("annotations", {"image_id", "caption"}, "COCO's own captions (annotations with 'caption')"),
    ("annotations", {"image_id", "keypoints"}, "COCO's keypoints"),
    ("annotations", {"image_id", "segments_info"}, "COCO's panoptic segmentation"),
    (
        "annotations",
        {"image_id", "bbox", "segmentation"},
        _BOXES,
    ),
    ("annotations", {"image_id", "bbox", "iscrowd"}, _BOXES),
)


def format_of(values: Any) -> str | None:
    """The known format of a file, in words; None if it is none of them."""
    for name, fields, known in _MARKS:
        entries = values.get(name) if isinstance(values, Mapping) else None
        if isinstance(entries, list) and any(
            isinstance(entry, Mapping) and fields <= entry.keys() for entry in entries
        ):
            return known
    return None


def require_format(path: Path, values: Any, wanted: str) -> None:
    """Refuse a file that is known to be another one.

    Raises:
        InputError: saying what it is.
    """
    if (found := format_of(values)) not in (None, wanted):
        raise InputError(f"{path}: this file holds {found}; what is read here is {wanted}")
