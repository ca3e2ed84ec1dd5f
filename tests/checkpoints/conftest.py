import shutil
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture
def copy_golden(tmp_path):
    """A function that copies a golden checkpoint (without its expectations) into a new folder."""

    def copy(name, *, into="checkpoint"):
        folder = tmp_path / into
        folder.mkdir()
        for path in (GOLDEN / name).iterdir():
            if path.is_file() and path.suffix != ".npz":
                shutil.copyfile(path, folder / path.name)
        return folder

    return copy
