"""Corrupt images among good ones: they are named, and the good ones score as without them."""

import csv
import io

import numpy as np
import pyarrow.parquet as pq
import pytest
from noise_panoramas import write_panoramas
from PIL import Image
from slowed_runs import CHECKPOINT

from experiments import shift_sweep
from jclip.data.images import decode, inspect_images
from jclip.errors import InputError, RunStopped
from jclip.runs.options import ImageOptions, ModelOptions, OutputOptions

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")


def encoded(kind, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (32, 64, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def sweep(folder, out, on_error):
    return shift_sweep.main(
        shift_sweep.Options(
            ModelOptions(models=(CHECKPOINT,)),
            ImageOptions(images=(str(folder),), on_error=on_error),
            OutputOptions(out=out, batch_size=27),
        )
    )


def scores(out):
    table = pq.read_table(out / "scores.parquet", columns=["image", "score"])
    found = {}
    for row in table.to_pylist():
        found.setdefault(row["image"], []).append(row["score"])
    return found


def test_good_images_score_as_without_the_corrupt_ones(tmp_path):
    folder = write_panoramas(tmp_path / "panoramas", [f"{i}.png" for i in range(12)])
    assert sweep(folder, tmp_path / "whole", "stop") == 0
    expected = scores(tmp_path / "whole")
    for number, share in ((0, 0.3), (4, 0.6), (5, 0.9), (11, 0.5)):
        file = folder / f"{number}.png"
        file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    with pytest.raises(RunStopped, match=r"0\.png: cannot be decoded"):
        sweep(folder, tmp_path / "stopped", "stop")
    assert sweep(folder, tmp_path / "recorded", "record") == 3
    rows = list(csv.DictReader((tmp_path / "recorded" / "failures.csv").read_text().splitlines()))
    assert [row["image"] for row in rows] == ["0.png", "4.png", "5.png", "11.png"]
    found = scores(tmp_path / "recorded")
    assert found == {name: own for name, own in expected.items() if name in found}
    assert len(found) == 8


# Pillow says so when it goes on without a damaged tag.
@pytest.mark.filterwarnings("ignore::UserWarning:PIL.TiffImagePlugin")
@pytest.mark.parametrize("kind", FORMATS)
def test_whatever_a_file_holds_it_is_decoded_or_refused_by_name(kind, tmp_path):
    whole, rng = encoded(kind), np.random.default_rng(1)
    path = tmp_path / f"picture.{kind.lower()}"
    refused = 0
    for _ in range(150):
        content = bytearray(whole[: rng.integers(len(whole) // 2, len(whole) + 1)])
        for place in rng.integers(len(content), size=rng.integers(4)):
            content[place] ^= 1 << rng.integers(8)
        path.write_bytes(content)
        try:
            (image,) = inspect_images([path])
            pixels = decode(image)
        except InputError as error:
            assert path.name in str(error)
            refused += 1
        else:
            assert pixels.shape == (image.height, image.width, 3) and pixels.dtype == np.uint8
    assert refused > 50
