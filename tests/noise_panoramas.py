"""Panoramas of seeded noise, for tests that need files and no content."""

import contextlib

import numpy as np
from PIL import Image

LARGE = (256, 128)
"""Width and height of panoramas whose files are longer than what a digest reads of them."""


def write_panoramas(folder, names, size=(64, 32), captions=True, seed=0):
    """Write a panorama of `size` (width, height) per name, and `captions.csv`; gives the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for name in names:
        pixels = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
    if captions:
        rows = "".join(f"{name},a room number {i}\n" for i, name in enumerate(names))
        (folder / "captions.csv").write_text("file,caption\n" + rows)
    return folder


@contextlib.contextmanager
def damaged(path):
    """Meanwhile a LARGE panorama cannot be decoded, and neither its length nor digest say so."""
    whole = path.read_bytes()
    path.write_bytes(whole[:70_000] + bytes(1000) + whole[71_000:])
    yield
    path.write_bytes(whole)
