"""The files of SugarCrepe, SugarCrepe++ and ARO: pictures, right captions and their foils.

Layouts: RAIVNLab/sugar-crepe, Sri-Harsha/scpp and mertyg/vision-language-models-are-bows.
"""

import importlib.resources
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jclip.data.annotation_fields import take
from jclip.data.file_names import require_unicode
from jclip.data.foils import RIGHT_FIRST, FoilFile, FoilRecord, Picture
from jclip.errors import InputError
from jclip.files.text_files import lines_of, read_text
from jclip.text.cleaning import is_unicode, repaired

SUGAR_CREPE = (
    "add_att",
    "add_obj",
    "replace_att",
    "replace_obj",
    "replace_rel",
    "swap_att",
    "swap_obj",
)
SUGAR_CREPE_PP = SUGAR_CREPE[2:]


def read_sugar_crepe(path: Path) -> FoilFile:
    """One file of SugarCrepe: an object of ids, each `filename`, `caption`, `negative_caption`.

    Raises:
        InputError: naming the file, the record and the field.
    """
    values = read_value(path)
    if isinstance(values, list):
        raise InputError(
            f"{path}: a list of records with 'negative_caption', where SugarCrepe has an object of "
            "ids; a list is SugarCrepe++, whose records have 'caption2' too"
        )
    if not isinstance(values, dict) or not values:
        raise InputError(f"{path}: no object of ids with 'caption' and 'negative_caption'")
    records = []
    for name, entry in values.items():
        where = f"{path}, record {(name := label(name))}"
        file, *texts = _texts(entry, ("filename", "caption", "negative_caption"), where)
        records.append(FoilRecord(name, (Picture(file),), tuple(texts)))
    return FoilFile("sugar_crepe", f"sugar_crepe/{path.stem}", tuple(records))


def read_sugar_crepe_pp(path: Path) -> FoilFile:
    """One file of SugarCrepe++: a list; `caption` and `caption2` are both right.

    Raises:
        InputError: naming the file, the record by its id and the field.
    """
    records, names = [], ("filename", "caption", "caption2", "negative_caption")
    for entry, id_, where in with_ids(path, read_list(path)):
        file, *texts = _texts(entry, names, where)
        right = ((True, True, False),)
        records.append(FoilRecord(str(id_), (Picture(file),), tuple(texts), right))
    return FoilFile("sugar_crepe_pp", f"sugar_crepe_pp/{path.stem}", tuple(records))


def read_aro(path: Path) -> FoilFile:
    """Relations or attributes of ARO (Visual Genome): a box, `true_caption`, `false_caption`.

    Records are grouped by `relation_name`, or by their two `attributes`, as their metrics are.

    Raises:
        InputError: naming the file, the record by its number from 0 and the field.
    """
    records, values = [], read_list(path)
    relations = "relation_name" in values[0]
    for number, entry in enumerate(values):
        where = f"{path}, record {number}"
        file, *texts = _texts(entry, ("image_path", "true_caption", "false_caption"), where)
        x, y, w, h = (_number(entry, f"bbox_{side}", where) for side in "xywh")
        for side, value in zip("wh", (w, h), strict=True):
            if value <= 0:
                raise InputError(f"{where}: field 'bbox_{side}' is {value:g}: a box without area")
        group = take(entry, "relation_name", str, where) if relations else _pair(entry, where)
        records.append(
            FoilRecord(str(number), (Picture(file, (x, y, w, h)),), tuple(texts), group=group)
        )
    benchmark = "aro_relation" if relations else "aro_attribution"
    return FoilFile(benchmark, f"aro/{path.stem}", tuple(records))


def aro_relations_left_out() -> tuple[str, ...]:
    """The 157 relations that ARO's macro average leaves out; see `aro/ORIGIN.md`."""
    file = importlib.resources.files("jclip.data") / "aro" / "relations_left_out.txt"
    return tuple(file.read_text("utf-8").splitlines())


def read_aro_order(path: Path) -> FoilFile:
    """Captions in other orders, frozen as JSON lines of `image` and `caption_options`.

    The right one is the first. The benchmark's own files hold captions alone and its code makes new
    permutations at every run, which nobody could compare.

    Raises:
        InputError: naming the file, the line and the field.
    """
    records = []
    for number, entry in read_lines(path):
        where = f"{path}, line {number}"
        (file,) = _texts(entry, ("image",), where)
        texts = take(entry, "caption_options", list, where)
        if len(texts) < 2 or not all(map(_is_text, texts)):
            raise InputError(
                f"{where}: field 'caption_options' holds {texts!r:.80}, where the right caption "
                "and one permutation or more are wanted"
            )
        right = ((True, *(False,) * (len(texts) - 1)),)
        records.append(FoilRecord(str(number), (Picture(file),), tuple(texts), right))
    return FoilFile("aro_order", f"aro/{path.stem}", tuple(records))


def read_half_truths(path: Path, joint: str) -> list[FoilFile]:
    """Half-truths: a short right text against the same with one wrong detail.

    Two sets: of entities ("cup" against "cup and bag", the foil of cup) and of relations ("person
    carries cup" against the same with the foil). Only CS-CLIP's training layout is public, and not
    how its test joins the two: `joint` stands between them.

    Raises:
        InputError: naming the file, the sample and the field.
    """
    entities, relations = [], []
    for number, entry in enumerate(read_list(path)):
        where = f"{path}, sample {label(entry.get('sample_id', number))}"
        name, file, _ = _texts(entry, ("sample_id", "image_path", "original_caption"), where)
        pictures, known = (Picture(file),), take(entry, "entities", list, where)
        for entity, foils in take(entry, "negative_entities", dict, where).items():
            if entity not in known or not _is_text(entity):
                raise InputError(
                    f"{where}: field 'negative_entities' has foils of {entity!r:.60}, which is "
                    "none of its 'entities'"
                )
            for foil in _objects(foils, "negative_entities", where):
                (wrong,) = _texts(foil, ("negative",), where)
                texts = entity, f"{entity}{joint}{wrong}"
                entities.append(FoilRecord(name, pictures, texts, RIGHT_FIRST, "entity"))
        for relation in _objects(take(entry, "relations", list, where), "relations", where):
            right = _triple(relation, where)
            for foil in _objects(take(relation, "negatives", list, where), "negatives", where):
                texts = right, f"{right}{joint}{_triple(foil, where)}"
                kind = label(foil.get("change_type", "relation"))
                relations.append(FoilRecord(name, pictures, texts, RIGHT_FIRST, kind))
    parts = {"entities": entities, "relations": relations}
    found = [
        FoilFile("half_truths", f"half_truths/{name}", tuple(own))
        for name, own in parts.items()
        if own
    ]
    if not found:
        raise InputError(f"{path}: no sample has a foil")
    return found


def read_value(path: Path) -> Any:
    """The JSON value in a file.

    Raises:
        InputError: there is none.
    """
    _require_file(path)
    try:
        # Given bytes, the parser looks for the marks that editors on Windows leave.
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError, OSError) as error:
        raise InputError(f"{path} is not JSON: {error}") from None


def read_list(path: Path) -> list[dict[str, Any]]:
    """A JSON list of objects, at least one.

    Raises:
        InputError: the file holds none.
    """
    values = read_value(path)
    if not isinstance(values, list) or not all(isinstance(entry, dict) for entry in values):
        raise InputError(f"{path}: no list of objects, but {type(values).__name__}")
    if not values:
        raise InputError(f"{path}: the list is empty")
    return values


def read_lines(path: Path) -> list[tuple[int, dict[str, Any]]]:
    """JSON lines, each an object, with their numbers from 1; at least one.

    Raises:
        InputError: naming the file and the line.
    """
    _require_file(path)
    found = []
    for number, line in enumerate(lines_of(read_text(path)), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}, line {number}: not JSON ({error})") from None
        if not isinstance(value, dict):
            raise InputError(f"{path}, line {number}: {value!r:.60} is no JSON object")
        found.append((number, value))
    if not found:
        raise InputError(f"{path}: no line of JSON")
    return found


def label(value: Any) -> str:
    """A value as a table of results can hold it, in a few words."""
    return f"{value!s:.200}".encode("utf-8", "backslashreplace").decode("utf-8")


def with_ids(
    path: Path, values: list[dict[str, Any]], kind: str = "record"
) -> Iterator[tuple[dict[str, Any], int, str]]:
    """Objects with a field `id`: each, its id, and what errors call it.

    Raises:
        InputError: an id is missing, or there twice.
    """
    known = set()
    for number, entry in enumerate(values):
        id_ = take(entry, "id", int, f"{path}, {kind} {number} from 0")
        if id_ in known:
            raise InputError(f"{path}, {kind} {number} from 0: field 'id' is {id_} a second time")
        known.add(id_)
        yield entry, id_, f"{path}, {kind} {id_}"


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and is_unicode(value) and bool(repaired(value))


def _require_file(path: Path) -> None:
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    require_unicode(path)


def _texts(entry: Any, names: tuple[str, ...], where: str) -> list[str]:
    if not isinstance(entry, dict):
        raise InputError(f"{where}: {entry!r:.60} is no object with {', '.join(names)}")
    return [take(entry, name, str, where) for name in names]


def _number(entry: dict[str, Any], name: str, where: str) -> float:
    value = entry.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e9:
        said = "is missing" if name not in entry else f"is {value!r:.60}, not a number of pixels"
        raise InputError(f"{where}: field {name!r} {said}")
    return float(value)


def _pair(entry: dict[str, Any], where: str) -> str:
    words = take(entry, "attributes", list, where)
    if len(words) != 2 or not all(map(_is_text, words)):
        raise InputError(f"{where}: field 'attributes' is {words!r:.60}, where two are wanted")
    return "_".join(words)


def _objects(values: Any, field: str, where: str) -> list[dict[str, Any]]:
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise InputError(f"{where}: field {field!r} is {values!r:.60}, not a list of objects")
    return values


def _triple(entry: dict[str, Any], where: str) -> str:
    return " ".join(_texts(entry, ("subject", "relation_type", "object"), where))
