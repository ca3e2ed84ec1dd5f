"""How a checkpoint wants its images prepared, and the two forms in which the libraries store it."""

import dataclasses
from pathlib import Path
from typing import Any

from jclip.files.json_fields import Fields
from jclip.files.json_files import read_json
from jclip.images import CLIP_MEAN, CLIP_STD, Fit, Interpolation, Patches, Size

IGNORED_BY_PROCESSORS = """
    _valid_processor_keys data_format default_to_square device disable_grouping
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


def read_open_clip_preprocessing(values: dict[str, Any], size: int, file: str) -> ImageConfig:
    """`preprocess_cfg` of open_clip; what it leaves out is CLIP's, as in that library.

    Raises:
        InputError: a field describes what is not supported.
    """
    fields = Fields(values, "preprocess_cfg.")
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
    fields.only("fill_color", 0)
    fields.finish()
    fields.raise_problems(file)
    return config


def read_transformers_preprocessing(folder: Path, size: Size) -> ImageConfig | None:
    """`preprocessor_config.json` or `processor_config.json` of a folder; None if it has neither.

    Args:
        folder: of the checkpoint.
        size: the tower's. Of patches, the file says how many an image has.

    Raises:
        InputError: a field describes what is not supported.
    """
    found = processor_values(folder)
    return found and _image_processor(found[0], size, found[1])


def processor_values(folder: Path) -> tuple[dict[str, Any], str] | None:
    """What a folder says of image preparation, and the file that says it; None if none does."""
    path = folder / "preprocessor_config.json"
    if path.exists():
        return read_json(path), str(path)
    path = folder / "processor_config.json"
    values = read_json(path).get("image_processor") if path.exists() else None
    return (values, str(path)) if values else None


def _image_processor(values: dict[str, Any], size: Size, file: str) -> ImageConfig:
    fields = Fields(values)
    if isinstance(size, Patches):
        fields.only("patch_size", size.side)
        size = Patches(size.side, fields.take_positive("max_num_patches", size.budget))
        fit = "native"
    else:
        fit = _transformers_fit(fields, values, size)
    config = ImageConfig(
        size=size,
        mean=channels_of(fields, "image_mean", CLIP_MEAN),
        std=channels_of(fields, "image_std", CLIP_STD),
        interpolation=_FILTERS.get(values.get("resample", 3), "bicubic"),
        fit=fit,
    )
    fields.only("resample", *_FILTERS)
    for step in ("do_resize", "do_rescale", "do_normalize", "do_convert_rgb"):
        fields.only(step, True)
    fields.only("rescale_factor", 1 / 255, 0.00392156862745098)
    fields.refuse_switches("do_pad", "use_square_size")
    fields.ignore("crop_pct", *IGNORED_BY_PROCESSORS)
    fields.finish()
    fields.raise_problems(file)
    return config


def _transformers_fit(fields: Fields, values: dict[str, Any], size: int) -> Fit:
    resize, crop = values.get("size", size), values.get("crop_size", size)
    crops = values.get("do_center_crop", True)
    fields.ignore("size", "crop_size", "do_center_crop")
    square = {"height": size, "width": size}
    if crops and crop not in (size, square):
        fields.refuse("crop_size", crop, f"the image tower takes {size} pixels")
    if resize == square:
        return "squash"
    if resize not in (size, {"shortest_edge": size}):
        fields.refuse("size", resize, f"the image tower takes {size} pixels")
    elif not crops:
        fields.refuse("do_center_crop", crops, "without it images are not square")
    return "crop"


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
    """A number per RGB channel of values in 0 .. 1, as a field has it."""
    values = fields.take(name, list(default))
    if len(values) != 3 or not all(isinstance(v, (int, float)) for v in values):
        fields.refuse(name, values, "three numbers are expected")
        return default
    red, green, blue = map(float, values)
    return red, green, blue
