"""HDR panoramas, Radiance and OpenEXR: linear light, of which a tone map makes pixels.

Both are read by libraries of the extra `hdr`.
"""

import hashlib
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from jclip.data.images import DIGESTED_BYTES, ImageFile
from jclip.errors import InputError
from jclip.images.tone_mapping import TONE_MAPS, ToneMap, tone_mapped

HDR_SUFFIXES = {".hdr", ".exr"}


def inspect_hdr(path: Path, name: str, tone_map: ToneMap | None, pixel_limit: int) -> ImageFile:
    """An HDR image whose pixels a tone map makes; its size is from the header.

    Raises:
        InputError: no tone map is chosen, a library is missing, the file cannot be read, or it
            exceeds `pixel_limit` pixels.
    """
    if tone_map is None:
        raise InputError(
            f"{path}: linear light, which takes a tone map to be seen, and scores depend on which: "
            f"one of {', '.join(TONE_MAPS)}",
            argument="tone_map",
        )
    if path.suffix.lower() != ".exr":
        _library("cv2")  # Of EXR the size already takes the library.
    height, width = _exr_size(path) if path.suffix.lower() == ".exr" else _radiance_size(path)
    if width * height > pixel_limit:
        raise InputError(
            f"{path}: {width} x {height} pixels, limit {pixel_limit}", argument="pixel_limit"
        )
    with path.open("rb") as file:
        head = os.stat(path).st_size.to_bytes(8) + file.read(DIGESTED_BYTES)
    digest = hashlib.sha256(head + tone_map.encode()).hexdigest()

    def pixels() -> np.ndarray:
        try:
            return tone_mapped(read_light(path), tone_map)
        except ValueError as error:
            raise InputError(f"{path}: cannot be decoded ({error})") from None

    return ImageFile(name, pixels, height, width, digest)


def read_light(path: Path) -> Float[np.ndarray, "h w 3"]:
    """Linear red, green and blue of a Radiance or an OpenEXR file.

    Raises:
        InputError: a library is missing, or the file cannot be read or has no three colours.
    """
    if path.suffix.lower() == ".exr":
        channels = _exr(path).channels()
        if "RGB" in channels or "RGBA" in channels:
            found = channels["RGB" if "RGB" in channels else "RGBA"].pixels
        elif {"R", "G", "B"} <= set(channels):
            found = np.stack([channels[colour].pixels for colour in "RGB"], axis=-1)
        else:
            raise InputError(f"{path}: channels {', '.join(channels)}, not R, G and B")
        return np.asarray(found[..., :3], np.float32)
    found = _library("cv2").imread(str(path), -1)
    if found is None or found.ndim != 3:
        raise InputError(f"{path}: not a Radiance file that can be read")
    return np.ascontiguousarray(found[..., 2::-1], np.float32)


def _exr(path: Path, **options: bool) -> Any:
    library = _library("OpenEXR")
    try:
        return library.File(str(path), **options)
    except Exception as error:  # the library raises bare RuntimeErrors
        raise InputError(f"{path}: not an OpenEXR file that can be read ({error})") from None


def _exr_size(path: Path) -> tuple[int, int]:
    lowest, highest = _exr(path, header_only=True).header()["dataWindow"]
    width, height = np.asarray(highest) - np.asarray(lowest) + 1
    return int(height), int(width)


def _radiance_size(path: Path) -> tuple[int, int]:
    with path.open("rb") as file:
        found = re.search(rb"\n-Y (\d+) \+X (\d+)\n", file.read(1 << 14))
    if found is None:
        raise InputError(f"{path}: not a Radiance file with rows from the top and from the left")
    return int(found[1]), int(found[2])


def _library(name: str) -> Any:
    try:
        return __import__(name)
    except ImportError:
        hint = "pip install 'jclip[hdr]'"
        raise InputError(f"{name} is missing, which reads HDR images: {hint}") from None
