"""Folders of classes as people have them."""

import numpy as np
import pytest
from PIL import Image

from jclip.data.class_folders import open_class_folders
from jclip.errors import InputError


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name, count in (("n02_cat", 2), ("red_ball", 3)):
        (tmp_path / name / "deeper").mkdir(parents=True)
        for k in range(count):
            inner = "deeper/" * (k % 2)
            pixels = rng.integers(0, 255, (20, 24, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{inner}{k}.png")
    (tmp_path / ".cache").mkdir()
    return tmp_path


def test_classes_are_their_folders(folder):
    found = open_class_folders(folder)
    assert found.classes == ("n02 cat", "red ball")
    assert found.labels.tolist() == [0, 0, 1, 1, 1]
    assert found.images[0].name.startswith("n02_cat/")


def test_classes_have_names_of_their_own(folder, tmp_path_factory):
    names = tmp_path_factory.mktemp("names") / "names.csv"
    names.write_text('folder,name\nn02_cat,"cat, asleep"\nred_ball,ball\n')
    found = open_class_folders(folder, names)
    assert found.classes == ("cat, asleep", "ball")
    assert found.digest != open_class_folders(folder).digest


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("folder,name\nn02_cat,cat\n", "no name for the folder 'red_ball'"),
        ("n02_cat,cat\nred_ball,cat\n", "'cat' is the name of two classes"),
        ("n02_cat,cat\nred_ball\n", "line 2: not of the form folder,name"),
        ("n02_cat,cat\nn02_cat,dog\n", "line 2: the folder 'n02_cat' a second time"),
    ],
)
def test_names_that_do_not_fit(folder, tmp_path_factory, text, said):
    names = tmp_path_factory.mktemp("names") / "names.csv"
    names.write_text(text)
    with pytest.raises(InputError, match=said):
        open_class_folders(folder, names)


def test_folders_that_are_none(folder, tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        open_class_folders(folder / "absent")
    with pytest.raises(InputError, match="1 folders of classes"):
        open_class_folders(folder / "n02_cat")
    (folder / "empty").mkdir()
    with pytest.raises(InputError, match="empty: no image of this class"):
        open_class_folders(folder)
