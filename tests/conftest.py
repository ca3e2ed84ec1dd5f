"""What all tests share."""

import os

import pytest
from noise_panoramas import write_panoramas

# Set but empty: the commands that tests run, in processes of their own too, keep nothing compiled.
os.environ["JAX_COMPILATION_CACHE_DIR"] = ""


@pytest.fixture
def panorama_folder(tmp_path):
    """A function that writes panoramas of seeded noise, with `captions.csv`, into a new folder."""

    def write(names=("a.png", "b.png", "c.png"), size=(64, 32), captions=True, name="panoramas"):
        return write_panoramas(tmp_path / name, names, size, captions)

    return write
