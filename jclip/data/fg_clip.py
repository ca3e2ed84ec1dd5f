"""FG-CLIP's files of FG-OVD: a JSON object a line, with a box, its right caption and wrong ones.

Format: github.com/360CVGroup/FG-CLIP, `data/fgovd/*.jsonl`. Lines follow FG-OVD's annotations in
order; the captions have a final full stop where those have none.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jclip.data.annotation_fields import annotated_image, box_inside, take
from jclip.data.boxes import Box
from jclip.errors import InputError
from jclip.files.text_files import lines_of, read_text


def read_fg_clip(path: Path) -> list[Box]:
    """The boxes of a file, each with the number of its line, from 1, as its id.

    The right caption may be among the wrong ones: four published lines have it there.

    Raises:
        InputError: naming the file, the line and the field: not JSON, a field missing or of another
            type, a box of no size or outside of its image, no right caption or several, no wrong
            one other than the right, or one twice; or the file is missing or has no line.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such annotation file")
    numbered = enumerate(lines_of(read_text(path)), start=1)
    boxes = [_box(path, number, line) for number, line in numbered if line.strip()]
    if not boxes:
        raise InputError(f"{path}: no line holds a box")
    return boxes


def _box(path: Path, number: int, line: str) -> Box:
    where = f"{path}, line {number}"
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not JSON ({error})") from None
    if not isinstance(entry, dict):
        raise InputError(f"{where}: not an object with 'bbox' and 'pos_expression'")
    image = annotated_image(entry, "img_path", where)
    box = box_inside(entry, image, where)
    right, wrong = (_texts(entry, f"{kind}_expression", where) for kind in ("pos", "neg"))
    if len(right) != 1:
        raise InputError(f"{where}: field 'pos_expression' has {len(right)} captions, not one")
    if {*wrong} == {*right}:
        raise InputError(f"{where}: the only one of 'neg_expression' is the right caption")
    if len(set(wrong)) < len(wrong):
        raise InputError(f"{where}: field 'neg_expression' holds the same caption twice")
    return Box(path.stem, number, image, box, (*right, *wrong))


def _texts(entry: Mapping[str, Any], name: str, where: str) -> list[str]:
    values = take(entry, name, list, where)
    if not values:
        raise InputError(f"{where}: field {name!r} is empty")
    return [take({name: value}, name, str, where) for value in values]
