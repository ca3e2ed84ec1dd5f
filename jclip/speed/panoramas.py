"""The sample panoramas in the size of paper 1's, for measurements of speed."""

import csv
from pathlib import Path

from PIL import Image

from jclip.data.image_sets import ImageSet, open_image_set
from jclip.data.images import decode

WIDTH, HEIGHT = 1024, 512


def enlarged_samples(folder: Path, count: int) -> ImageSet:
    """Write `count` JPEG files of 1024 x 512 pixels into a new folder; samples repeat after twelve.

    What paper 1's panoramas (arXiv 2604.24642) cost to decode and resize, these do.
    """
    folder.mkdir()
    samples = open_image_set("samples")
    with (folder / "captions.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("file", "caption"))
        for number in range(count):
            sample = number % len(samples.images)
            image = Image.fromarray(decode(samples.images[sample]))
            enlarged = image.resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
            enlarged.save(folder / f"{number}.jpg", quality=95)
            rows.writerow((f"{number}.jpg", samples.captions[sample]))
    return open_image_set(str(folder))
