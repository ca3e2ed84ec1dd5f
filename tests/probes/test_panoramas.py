"""Every protocol's scores of four photographs against goldens, and what the orbit promises."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jclip.checkpoints import load_checkpoint
from jclip.data.image_sets import ImageSet
from jclip.data.images import inspect_images
from jclip.data.pipeline import plan_batches, stream_batches
from jclip.probes.panoramas import PanoramaProbe
from jclip.probes.probe import stream_scores
from jclip.probes.subjects import make_subjects

GOLDEN = Path(__file__).parents[1] / "golden"
SCORES = GOLDEN / "panorama_scores"
EXPECTED = json.loads((SCORES / "expected.json").read_text())
ARRAYS = np.load(SCORES / "expected.npz")
EVERY = ("jclip", "panfusion", "survey", "mvdiffusion")
TOLERANCES = {"pinned": 0.05, "twice": 1e-3, "corrected": 0.01, "mvdiffusion.CS": 0.01}
TOLERANCES |= {"survey.corrected": 1e-3, "survey.reference": 1e-3}


@pytest.fixture(scope="module")
def checkpoint():
    return load_checkpoint(GOLDEN / "hf_full")


def panoramas(turn=0, **fields):
    paths = [SCORES / "panoramas" / f"{name}.png" for name in EXPECTED["files"]]
    images = inspect_images(paths)
    if turn:
        images = [
            file.__class__(
                file.name,
                lambda p=path: np.roll(np.asarray(Image.open(p).convert("RGB")), turn, axis=1),
                file.height,
                file.width,
                file.digest,
            )
            for file, path in zip(images, paths, strict=True)
        ]
    texts = tuple(EXPECTED["captions"])
    own = tuple(map(tuple, EXPECTED["view_captions"]))
    fields = {"view_captions": own, **fields}
    return ImageSet("golden", tuple(images), texts, (1, 2, 3, 4), "captions", **fields)


def measured(checkpoint, probe, opened):
    (result,) = probe.results([opened], [checkpoint.description])
    subjects, _ = make_subjects(checkpoint, probe.fits, probe.prompts(opened))
    plans = plan_batches(opened.images, 2)
    batches = stream_batches(opened.images, plans, record_failures=False)
    for batch, (part,) in stream_scores(batches, subjects, probe):
        result.store(batch.indices, part)
    return result


@pytest.fixture(scope="module")
def everything(checkpoint):
    probe = PanoramaProbe(EVERY, rescaling=("corrected", "reference"), panoeval=True)
    return measured(checkpoint, probe, panoramas())


def test_every_golden_score_by_its_name(everything):
    assert set(everything.names) == set(EXPECTED["scores"])
    for name in everything.names:
        expected = ARRAYS[name].reshape(4, -1)
        kind = name if name in TOLERANCES else name.rpartition(".")[2]
        tolerance = TOLERANCES.get(kind, 0.003)
        found = everything.pictures_of(name)
        mean, golden = found.mean(axis=1), expected.mean(axis=1)
        np.testing.assert_allclose(mean, golden, rtol=0, atol=tolerance, err_msg=name)
        # A step of 1/256 of a pixel changes a level here and there.
        np.testing.assert_allclose(found, expected, rtol=0, atol=3 * tolerance, err_msg=name)


def test_seams_and_orbits(everything, checkpoint):
    seams = [EXPECTED["discontinuity"][n]["survey_rolled_by_eighths"] for n in EXPECTED["files"]]
    np.testing.assert_allclose(everything.seams[:, :8], seams, atol=1e-9)
    theirs = [EXPECTED["discontinuity"][n]["panoeval"] for n in EXPECTED["files"]]
    np.testing.assert_allclose(everything.seams[:, 8], theirs, atol=1e-9)
    turned = measured(checkpoint, PanoramaProbe(), panoramas(turn=3 * 64))
    np.testing.assert_allclose(turned.orbits, everything.orbits, atol=1e-4)
    assert np.abs(turned.pictures_of("yaws.crop") - ARRAYS["yaws.crop"]).max() > 0.1


def test_tables_hold_all_that_was_measured(everything):
    again = everything.select(range(4))
    for array in (again.values, again.orbits, again.features, again.seams):
        array[...] = np.nan
    again.fill(everything.to_table().slice(2))
    assert again.done.tolist() == [False, False, True, True]
    again.fill(everything.to_table())
    for one, other in zip(again._arrays.values(), everything._arrays.values(), strict=True):
        np.testing.assert_array_equal(one, other)
