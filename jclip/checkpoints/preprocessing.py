"""How a checkpoint wants its images prepared, and the two forms in which the libraries store it."""

import dataclasses
from collections.abc import Collection
from pathlib import Path
from typing import Any

from jclip.files.json_fields import Fields
from jclip.files.json_files import read_json
from jclip.images import CLIP_MEAN, CLIP_STD, Fit, Interpolation, Patches, Size
from jclip.images.arguments import channel_values

IGNORED_BY_PROCESSORS = """
    _valid_processor_keys data_format device disable_grouping
    feature_extractor_type image_processor_type input_data_format processor_class return_tensors
""".split()
"""What no pixel of a transformers processor depends on."""
_FILTERS: dict[int, Interpolation] = {3: "bicubic", 2: "bilinear"}  # Pillow's codes
_RESIZE_MODES: dict[str, Fit] = {"shortest": "crop", "squash": "squash", "longest": "pad"}
# At inference open_clip resizes bicubically where a config says `random`.
_INTERPOLATIONS: dict[str, Interpolation] = {
    "bicubic": "bicubic",
    "bilinear": "bilinear",
    "random": "bicubic",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageConfig:
    """Preparation of an image for one checkpoint.

    `size` is the side of the square, in pixels; `fit` is `crop` (shortest side to `size`, centre
    crop), `squash` (both sides to `size`), `pad` (longest side to `size`, black bars) or `native`
    (a size of so many patches, aspect kept); `mean` and `std` are per RGB channel, of values in
    0 .. 1. Resizing is Pillow's.
    """

    size: Size
    mean: tuple[float, float, float] = CLIP_MEAN
    std: tuple[float, float, float] = CLIP_STD
    interpolation: Interpolation = "bicubic"
    fit: Fit = "crop"


def read_open_clip_preprocessing(values: Any, size: int, file: str) -> ImageConfig:
    """`preprocess_cfg` of open_clip; what it leaves out is CLIP's, as in that library.

    Raises:
        InputError: a field describes what is not supported.
    """
    fields = Fields({"preprocess_cfg": values}).nested("preprocess_cfg")
    config = ImageConfig(
        size=size,
        mean=channels_of(fields, "mean", CLIP_MEAN),
        std=channels_of(fields, "std", CLIP_STD),
        interpolation=fields.choose("interpolation", "bicubic", _INTERPOLATIONS),
        fit=fields.choose("resize_mode", "shortest", _RESIZE_MODES),
    )
    # The library replaces the stored size by the image tower's own.
    fields.ignore("size")
    fields.only("mode", "RGB")
    fields.only("fill_color", 0, [0, 0, 0])
    fields.finish()
    fields.raise_problems(file)
    return config


def read_transformers_preprocessing(
    folder: Path, size: Size, *, square: bool = False
) -> ImageConfig | None:
    """`preprocessor_config.json` or `processor_config.json` of a folder; None if it has neither.

    Args:
        folder: of the checkpoint.
        size: the image tower's. Of patches, the file says how many an image has.
        square: what the processor does where nothing is said: squash the image, as OWL-ViT's and
            SigLIP's do, or fit its shortest edge and crop, as CLIP's. A `size` that is one number
            means that.

    Raises:
        InputError: a field describes what is not supported.
    """
    path, fields = processor_fields(folder)
    return None if fields is None else _image_processor(fields, size, str(path), square)


def processor_fields(folder: Path) -> tuple[Path, Fields | None]:
    """The fields of a folder's image processor, and the file that holds them, if one does.

    Raises:
        InputError: the file is no JSON object.
    """
    path = folder / "preprocessor_config.json"
    if path.exists():
        return path, Fields(read_json(path))
    path = folder / "processor_config.json"
    if not path.exists() or (values := read_json(path)).get("image_processor") is None:
        return path, None
    return path, Fields(values).nested("image_processor")


def _image_processor(fields: Fields, size: Size, file: str, square: bool) -> ImageConfig:
    if isinstance(size, Patches):
        fields.only("patch_size", size.side)
        size = Patches(size.side, fields.take_positive("max_num_patches", size.budget))
        fit: Fit = "native"
    else:
        fit = _transformers_fit(fields, size, square)
    config = ImageConfig(
        size=size,
        mean=channels_of(fields, "image_mean", CLIP_MEAN),
        std=channels_of(fields, "image_std", CLIP_STD),
        interpolation=fields.choose("resample", 3, _FILTERS),
        fit=fit,
    )
    for step in ("do_resize", "do_rescale", "do_normalize", "do_convert_rgb"):
        fields.only(step, True)
    fields.only("rescale_factor", 1 / 255, 0.00392156862745098)
    fields.refuse_switches("do_pad", "use_square_size")
    fields.ignore("crop_pct", *IGNORED_BY_PROCESSORS)
    fields.finish()
    fields.raise_problems(file)
    return config


def _transformers_fit(fields: Fields, size: int, square: bool) -> Fit:
    crops, plain = fields.take("do_center_crop", not square), not square
    square = fields.take("default_to_square", square)
    of_size: dict[Any, Fit] = {
        "one number": "squash" if square else "crop",
        "two sides": "squash",
        "shortest edge": "crop",
    }
    if crops:
        take_size(fields, "crop_size", size, ("one number", "two sides"))
    else:
        fields.ignore("crop_size")
    spelled = take_size(fields, "size", size, of_size)
    fit = of_size[spelled or "one number"]
    if fit == "crop" and not crops and spelled and plain:
        fields.refuse("do_center_crop", crops, "without it images are not square")
    return fit


def take_size(fields: Fields, name: str, size: int, allowed: Collection[str]) -> str | None:
    """Which of the forms a size is written in, all of which the library reads; None if refused."""
    value = fields.pop(name, size)
    if isinstance(value, dict):
        # Newer versions write every field of a size, most of them null.
        value = {side: length for side, length in value.items() if length is not None}
    forms = {
        "one number": size,
        "two sides": {"height": size, "width": size},
        "shortest edge": {"shortest_edge": size},
    }
    found = [name for name in allowed if forms[name] == value and not isinstance(value, bool)]
    if value == [size, size]:
        found = ["two sides"]
    if not found:
        fields.refuse(name, value, f"the image tower takes {size} pixels")
    return found[0] if found else None


def transformers_preprocessing(config: ImageConfig) -> dict[str, Any]:
    """What `preprocessor_config.json` holds for a preparation.

    Raises:
        ValueError: the fit is `pad`, which the image processors do not have.
    """
    resample = {name: code for code, name in _FILTERS.items()}[config.interpolation]
    shared = {
        "do_convert_rgb": True,
        "do_resize": True,
        "resample": resample,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(config.mean),
        "image_std": list(config.std),
    }
    if isinstance(config.size, Patches):
        patches = {"patch_size": config.size.side, "max_num_patches": config.size.budget}
        return {"image_processor_type": "Siglip2ImageProcessor"} | shared | patches
    if config.fit not in ("crop", "squash"):
        raise ValueError(f"fit = {config.fit!r} cannot be expressed in the transformers layout")
    square = {"height": config.size, "width": config.size}
    return shared | {
        "image_processor_type": "CLIPImageProcessor",
        "size": {"shortest_edge": config.size} if config.fit == "crop" else square,
        "do_center_crop": config.fit == "crop",
        "crop_size": square,
    }


def channels_of(
    fields: Fields, name: str, default: tuple[float, float, float]
) -> tuple[float, float, float]:
    """A mean or standard deviation per RGB channel, of values in 0 .. 1; a number counts thrice."""
    values = fields.pop(name, list(default))
    listed = values if isinstance(values, list) else [values] * 3
    if len(listed) != 3 or not all(type(value) in (int, float) for value in listed):
        fields.refuse(name, values, "three numbers are expected")
        return default
    try:
        return channel_values(name, listed)
    except (TypeError, ValueError) as error:
        fields.refuse(name, values, f"{error}".removeprefix(f"{name}: "))
        return default
