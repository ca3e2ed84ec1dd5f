import numpy as np
import pytest
from PIL import Image

FILTERS = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


def pillow_view(image, size, fit="crop", interpolation="bicubic"):
    """What the PyTorch stack's transforms make of an image, with Pillow alone."""
    height, width = image.shape[:2]
    resample = FILTERS[interpolation]
    picture = Image.fromarray(image)
    if fit == "squash":
        return np.asarray(picture.resize((size, size), resample))
    if fit == "pad":
        ratio = max(height / size, width / size)
        kept = (round(width / ratio), round(height / ratio))
        square = Image.new("RGB", (size, size))
        square.paste(picture.resize(kept, resample), ((size - kept[0]) // 2, (size - kept[1]) // 2))
        return np.asarray(square)
    if width <= height:
        resized = (size, int(size * height / width))
    else:
        resized = (int(size * width / height), size)
    left, top = (round((side - size) / 2.0) for side in resized)
    cropped = picture.resize(resized, resample).crop((left, top, left + size, top + size))
    return np.asarray(cropped)


def pillow_views(panorama, shifts, size, fit="crop", interpolation="bicubic"):
    """`[S, T, size, size, 3]`: roll the panorama, then hand it to Pillow."""
    height, width = panorama.shape[:2]
    rolled = [np.roll(panorama, shift, axis=1) for shift in shifts]
    if fit != "tiles":
        return np.stack([pillow_view(image, size, fit, interpolation)[None] for image in rolled])
    front = (width - height) // 2
    # Rolling brings each tile to column 0.
    tiles = [
        [np.roll(image, -start, axis=1)[:, :height] for start in (front, front + width // 2)]
        for image in rolled
    ]
    return np.stack(
        [[pillow_view(tile, size, "squash", interpolation) for tile in pair] for pair in tiles]
    )


@pytest.fixture(name="pillow_view", scope="session")
def pillow_view_fixture():
    return pillow_view


@pytest.fixture(name="pillow_views", scope="session")
def pillow_views_fixture():
    return pillow_views
