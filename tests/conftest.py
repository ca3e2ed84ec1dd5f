"""What all tests share."""

import os

import numpy as np
import pytest
from PIL import Image

# Set but empty: the commands that tests run, in processes of their own too, keep nothing compiled.
os.environ["JAX_COMPILATION_CACHE_DIR"] = ""


@pytest.fixture
def panorama_folder(tmp_path):
    """A function that writes panoramas of seeded noise, with `captions.csv`, into a new folder."""

    def write(names=("a.png", "b.png", "c.png"), size=(64, 32), captions=True, name="panoramas"):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        rng = np.random.default_rng(0)
        for file in names:
            pixels = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / file)
        if captions:
            rows = "".join(f"{file},a room number {i}\n" for i, file in enumerate(names))
            (folder / "captions.csv").write_text("file,caption\n" + rows)
        return folder

    return write
