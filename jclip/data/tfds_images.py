"""Captioned images out of prepared TFDS data sets, read without TensorFlow."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from jclip.data.images import DEFAULT_PIXEL_LIMIT, ImageFile, inspect_encoded
from jclip.errors import InputError

TFDS = "tfds:"

# The demo world's `content` is its caption without a format word, which the probes put themselves.
_CAPTION_FIELDS = ("content", "caption")


class PreparedImages(NamedTuple):
    """Images, their captions, and the field that the captions are from."""

    images: tuple[ImageFile, ...]
    captions: tuple[str, ...]
    field: str


def open_tfds_images(source: str, pixel_limit: int = DEFAULT_PIXEL_LIMIT) -> PreparedImages:
    """Open one split of a data set that was prepared with `file_format="array_record"`.

    Args:
        source: `tfds:NAME[:SPLIT]`, where NAME is what `tfds.builder` takes (`name`, `name/config`,
            `name/config:1.0.0`) and the data set lies in TFDS's own folder, which the environment
            variable TFDS_DATA_DIR moves. SPLIT is `test` by default. Examples need a picture
            `image`, and a text `content` or `caption`.
        pixel_limit: of one image, in pixels, checked from the header.

    Raises:
        InputError: the data set is not prepared, or lacks the split or a field; an image cannot be
            read.
    """
    found = re.fullmatch(rf"{TFDS}([^:]+(?::\d+\.\d+\.\d+)?)(?::([\w-]+))?", source)
    if found is None:
        raise InputError(f"{source}: expected {TFDS}NAME or {TFDS}NAME:SPLIT")
    name, split = found[1], found[2] or "test"
    builder = _builder(name)
    if split not in builder.info.splits:
        raise InputError(
            f"{source}: there is no split {split}, but {', '.join(builder.info.splits)}"
        )
    field = _caption_field(source, dict(builder.info.features.items()))
    examples = _examples(builder, split)
    rows = range(len(examples))
    images = tuple(
        inspect_encoded(f"{split}-{row:06d}", lambda at=row: examples[at]["image"], pixel_limit)
        for row in rows
    )
    texts = [examples[row][field] for row in rows]
    try:
        captions = tuple(t.decode() if isinstance(t, bytes) else str(t) for t in texts)
    except UnicodeDecodeError as error:
        raise InputError(f"{source}: a {field} is not UTF-8 text ({error})") from None
    return PreparedImages(images, captions, field)


def _caption_field(source: str, features: Mapping[str, Any]) -> str:
    import tensorflow_datasets as tfds

    texts = [f for f in _CAPTION_FIELDS if isinstance(features.get(f), tfds.features.Text)]
    if not texts or not isinstance(features.get("image"), tfds.features.Image):
        wanted = " or ".join(_CAPTION_FIELDS)
        raise InputError(
            f"{source}: needs a picture named image and a text named {wanted}; has "
            f"{', '.join(sorted(features))}"
        )
    return texts[0]


def _builder(name: str) -> Any:
    # Imported here, since it takes seconds and only this kind of source needs it.
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder(name, try_gcs=False)
        prepared = builder.is_prepared()
    except (tfds.core.DatasetNotFoundError, ValueError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{TFDS}{name}: {reason}") from None
    if not prepared:
        raise InputError(
            f"{TFDS}{name}: not prepared in {builder.data_dir}; prepare it, or set TFDS_DATA_DIR"
        )
    return builder


def _examples(builder: Any, split: str) -> Any:
    import tensorflow_datasets as tfds

    try:
        return builder.as_data_source(split=split, decoders={"image": tfds.decode.SkipDecoding()})
    except NotImplementedError as error:
        raise InputError(f"{TFDS}{builder.name}: {error}".splitlines()[0]) from None
