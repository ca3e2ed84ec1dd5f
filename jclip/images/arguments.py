"""What a caller gives to the functions of this package, checked before anything is computed.

Arrays are known by their type, dtype and shape alone, so that every check works on tracers too.
"""

import operator
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

_CHANNELS_FIRST = (1, 3, 4)


def check_array(name: str, array: Any, shape: str) -> None:
    """Refuse what is no array, has no elements, or too few axes.

    Args:
        name: what the caller calls the argument.
        array: what was given.
        shape: what is meant, its axes separated by blanks; `...` stands for any more before them.

    Raises:
        TypeError: it is no array of numpy or JAX.
        ValueError: it has another number of axes, or no elements.
    """
    meant = f"[{', '.join(shape.split())}]"
    if not isinstance(array, np.ndarray | jax.Array):
        listed = isinstance(array, list | tuple)
        hint = "; numpy.stack makes one of pictures of equal size" if listed else ""
        raise TypeError(f"{name}: a {type(array).__name__} where an array {meant} is meant{hint}")
    axes = [axis for axis in shape.split() if axis != "..."]
    if array.ndim < len(axes) or (array.ndim > len(axes) and "..." not in shape):
        raise ValueError(f"{name}: shape {array.shape}, not {meant}")
    if 0 in array.shape:
        raise ValueError(f"{name}: shape {array.shape} holds nothing")


def check_pixels(name: str, pixels: Any, shape: str) -> None:
    """Refuse all but RGB pixels in uint8, channels last.

    Args:
        name: what the caller calls the argument.
        pixels: what was given.
        shape: as of `check_array`; its last axis is the channels.

    Raises:
        TypeError: it is no array, or of another dtype.
        ValueError: it is of another shape, or has no elements.
    """
    check_array(name, pixels, shape)
    if pixels.dtype != np.uint8:
        raise TypeError(f"{name}: {pixels.dtype} values; pixels are uint8, 0 to 255")
    if pixels.shape[-1] != 3:
        raise ValueError(
            f"{name}: shape {pixels.shape}, not [{', '.join(shape.split())}] "
            f"({'channels come last' if _is_channels_first(pixels) else 'RGB'})"
        )


def check_panorama(name: str, panorama: Any) -> None:
    """Refuse what is no `[..., H, W, C]`, of any dtype, with 1, 3 or 4 channels before it.

    Raises:
        TypeError: it is no array.
        ValueError: it has too few axes, no elements, or the channels first.
    """
    check_array(name, panorama, "... H W C")
    if _is_channels_first(panorama):
        raise ValueError(f"{name}: shape {panorama.shape}; channels come last, [..., H, W, C]")


def _is_channels_first(array: Any) -> bool:
    return (
        array.ndim >= 3
        and array.shape[-3] in _CHANNELS_FIRST
        and array.shape[-1] not in _CHANNELS_FIRST
    )


def whole_number(name: str, value: Any, least: int | None = 1) -> int:
    """An integer of Python's, from any kind of integer but a truth value.

    Raises:
        TypeError: it is no integer.
        ValueError: it is less than `least`.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool | np.bool):
        raise TypeError(f"{name}: {value!r:.60} is no whole number")
    if least is not None and number < least:
        raise ValueError(f"{name}: {number} is less than {least}")
    return number


def whole_numbers(name: str, values: Any) -> list[int]:
    """One or more integers of Python's, from a sequence or an array `[N]` of any kind of them.

    Raises:
        TypeError: it is no sequence, or one of them is no integer.
        ValueError: there is none.
    """
    array = isinstance(values, np.ndarray | jax.Array) and values.ndim == 1
    if not array and (not isinstance(values, Sequence) or isinstance(values, str | bytes)):
        raise TypeError(f"{name}: a {type(values).__name__} where whole numbers are meant, [0, 8]")
    if not len(values):
        raise ValueError(f"no {name} given")
    return [whole_number(f"{name}[{row}]", value, None) for row, value in enumerate(values)]


def channel_values(name: str, values: Any) -> tuple[float, float, float]:
    """Means or standard deviations of the three channels, of values in 0 .. 1.

    Args:
        name: of the argument or field; a standard deviation's holds `std`, and is not 0.
        values: three numbers.

    Raises:
        TypeError: these are no numbers.
        ValueError: there are not three, or one is out of range.
    """
    try:
        found = [float(value) for value in values]
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"{name}: three numbers are meant, not {values!r:.60}") from None
    if len(found) != 3:
        raise ValueError(f"{name}: {len(found)} numbers, where one for each of three channels is")
    kind = "standard deviation" if "std" in name else "mean"
    for value in found:
        # NaN fails every comparison.
        if not 0 <= value <= 1 or (value == 0 and "std" in name):
            raise ValueError(f"{name}: {value:g} is no {kind} of values in 0 .. 1")
    red, green, blue = found
    return red, green, blue
