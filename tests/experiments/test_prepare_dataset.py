"""A TFDS data set is prepared by one command and read by the next."""

import dataclasses
import re

import numpy as np
import pytest

from experiments import prepare_dataset
from jclip.data.demo_world import open_demo_panoramas, open_demo_photos
from jclip.data.image_sets import open_image_set
from jclip.data.images import decode
from jclip.errors import InputError

SMALL = prepare_dataset.Options(height=16, seed=2, test=2)


@pytest.mark.parametrize(
    ("kind", "drawn"), [("panoramas", open_demo_panoramas), ("photos", open_demo_photos)]
)
def test_what_is_printed_can_be_read(kind, drawn, tmp_path, capsys, monkeypatch):
    options = dataclasses.replace(SMALL, kind=kind, train=1, data_dir=tmp_path)
    assert prepare_dataset.main(options) == 0
    output = capsys.readouterr().out
    assert f"export TFDS_DATA_DIR={tmp_path}" in output
    monkeypatch.setattr("tensorflow_datasets.core.constants.DATA_DIR", str(tmp_path))
    found = {source.split(":")[-1]: source for source in re.findall("--images (.*)", output)}
    assert list(found) == ["train", "test"]
    assert len(open_image_set(found["train"]).images) == 1
    opened, expected = open_image_set(found["test"]), drawn(2, 16, seed=2)
    assert opened.captions == expected.captions
    for image, pixels in zip(opened.images, expected.pixels, strict=True):
        np.testing.assert_array_equal(decode(image), pixels)


def test_one_that_is_there_is_left_as_it_is(tmp_path, capsys):
    options = dataclasses.replace(SMALL, data_dir=tmp_path)
    said = []
    for _ in range(2):
        prepare_dataset.main(options)
        said.append([line for line in capsys.readouterr().out.splitlines() if "tfds:" in line])
    assert said[0] == said[1] and len(said[0]) == 1


def test_no_scenes_are_refused(tmp_path):
    with pytest.raises(InputError, match="at least one split needs some"):
        prepare_dataset.main(dataclasses.replace(SMALL, test=0, data_dir=tmp_path))
