from pathlib import Path

import numpy as np
import pytest

from benchmarks.throughput.comparison import TorchSide, comparison_rows
from benchmarks.timing import Seconds
from jclip.data.image_sets import ImageSet
from jclip.data.images import ImageFile
from jclip.errors import RunStopped

PANORAMAS = ImageSet(
    name="panoramas",
    images=tuple(ImageFile(f"{i}.jpg", Path(f"{i}.jpg"), 512, 1024, "") for i in range(16)),
    captions=tuple(f"room {i}" for i in range(16)),
    lines=tuple(range(16)),
    caption_file="captions.csv",
)
SCORES = np.linspace(20, 27, 8)


class Fake:
    """A PyTorch side with known times: autocast is faster than a module, and batch 32 fastest."""

    def __init__(self):
        self.requests = []

    def __call__(self, request):
        self.requests.append(request)
        seconds = {"float32": 4.0, "autocast": 2.0, "module": 3.0}[request["form"]]
        if "tower" in request:
            seconds *= {16: 16, 32: 20, 64: 64}[request["tower"]] / 100
        return {"seconds": seconds, "scores": SCORES.tolist()}


@pytest.fixture
def side():
    versions = {"torch": "2.14", "open_clip_torch": "3.3"}
    return TorchSide.ready("open_clip", Fake(), versions, PANORAMAS, 1024, [32, 64])


def test_the_fastest_form_and_batch_of_each_precision_are_kept(side):
    assert side.requests["tower", "float32"] == {"tower": 32, "form": "float32"}
    assert side.requests["tower", "bfloat16"] == {"tower": 32, "form": "autocast"}
    assert side.requests["sweep", "bfloat16"]["form"] == "autocast"
    sweep = side.requests["sweep", "float32"]
    assert sweep["sweep"] == ["0.jpg", "This is room 0"]
    assert sweep["shifts"] == [0, 128, 256, 384, 512, 640, 768, 896]
    # A folder of one shift is an eighth of a sweep of its panoramas.
    assert side.units["folder", "float32"] == 2 and side.units["tower", "float32"] == 32
    assert side.work()["open_clip", "tower", "bfloat16"]() == pytest.approx(0.4)


def seconds(*rounds):
    return Seconds(1.0, np.array(rounds))


def taken(side):
    ours = {
        ("sweep", "float32", 64, "crop"): seconds(16.0, 32.0, 16.0),
        ("sweep", "float32", 64, "squash"): seconds(1.0, 1.0, 1.0),
        ("text", "float32"): seconds(0.0, 0.0, 0.0),
        ("tower", "float32", 64): seconds(6.4, 6.4, 6.4),
    }
    theirs = {name: seconds(4.0, 8.0, 8.0) for name in side.work()}
    return ours | theirs


def test_ratios_are_medians_over_rounds_of_the_papers_fit(side):
    rows = list(
        comparison_rows(side, taken(side), {("sweep", "float32", 64, "crop"): SCORES[None]}, 16)
    )
    by = {(row["method"], row["their_precision"]): row for row in rows}
    assert len(by) == len(rows) == 6
    row = by["panorama by panorama, view by view", "float32"]
    # Theirs: 4, 8, 8 s a panorama; ours: 1, 2, 1.
    assert row["ratio"] == 4.0 and (row["ratio_low"], row["ratio_high"]) == (4.0, 6.0)
    assert row["ours_per_s"] == 1.0 and row["theirs_per_s"] == 1 / 8
    tower = by["image tower alone, batched", "float32"]
    assert tower["unit"] == "images/s" and tower["ratio"] == pytest.approx(8 / 32 / 0.1)


def test_scores_that_differ_make_times_worthless(side):
    with pytest.raises(RunStopped, match=r"0\.5 apart"):
        list(comparison_rows(
            side, taken(side), {("sweep", "float32", 64, "crop"): SCORES[None] + 0.5}, 16
        ))  # fmt: skip
