"""Any encoder scores generated panoramas, by what export_views wrote."""

import csv
import json
import shutil

import numpy as np
import pyarrow.parquet as pq
import pytest
from histogram_encoder import Histogram, columns, cosine, embed
from noise_panoramas import write_panoramas
from PIL import Image

import jclip
from experiments import export_views, panorama_score
from jclip.data.panorama_folders import VIEW_PREFIX
from jclip.images.sphere import SphereView, plan_sphere, sphere_views

ENCODER, PITCHES = Histogram(), (-60.0, -30.0, 0.0, 30.0, 60.0)
VIEW_CAPTIONS = [f"what is seen at {45 * k} degrees" for k in range(8)]


@pytest.fixture
def panfusion(tmp_path):
    """Two panoramas with captions of their views, in the layout of PanFusion's data set."""
    scene = tmp_path / "mp3d_skybox" / "scene"
    whole = {"aa": "a hall with two doors", "bb": "a garden below a wall"}
    pictures = scene / "matterport_stitched_images"
    write_panoramas(pictures, [f"{name}.png" for name in whole], (128, 64), captions=False)
    for name, caption in whole.items():
        texts = {f"blip3_stitched/{name}.txt": caption}
        texts |= {f"blip3/{name}_{45 * k}.txt": text for k, text in enumerate(VIEW_CAPTIONS)}
        for path, text in texts.items():
            (scene / path).parent.mkdir(parents=True, exist_ok=True)
            (scene / path).write_text(text)
    files = {name: np.asarray(Image.open(pictures / f"{name}.png")) for name in whole}
    return scene.parent, whole, files


def scores_of(folder):
    table = pq.read_table(folder / "scores.parquet").to_pylist()
    return {(row["image"], row["name"]): row["score"] for row in table}


def of_pictures(pictures, texts):
    images = [Image.fromarray(np.asarray(own)) for own in pictures]
    return cosine(ENCODER.encode_image(images), ENCODER.encode_text(texts))


def test_every_score_that_an_encoder_elsewhere_can_have(run_experiment, panfusion):
    root, captions, files = panfusion
    options = ["--images", root, "--split", "all", "--orbit", "4"]
    options += ["--protocols", "jclip,panfusion,survey,mvdiffusion"]
    ended = run_experiment(export_views, "panorama_score", *options, out="views")
    assert ended.status == 0, ended.err
    # Eight yaws, eight views around and four more at the seam, eight of MVDiffusion's.
    assert len(columns(ended.folder / "images.csv", "file")) == 2 * (8 + 8 + 4 + 8)
    embed(ended.folder)
    scored = run_experiment(panorama_score, *options, "--embeddings", ended.folder, out="scored")
    assert scored.status == 0, scored.err
    found = scores_of(scored.folder)
    for name, pixels in files.items():
        image = next(image for image, _ in found if name in image)
        turned = [np.roll(pixels, 16 * k, axis=1) for k in range(8)]
        yaws = of_pictures(turned, [captions[name]] * 8)
        assert found[image, "plain.supplied"] == pytest.approx(yaws[0], abs=1e-4)
        assert found[image, "yaw_range.supplied"] == pytest.approx(np.ptp(yaws), abs=1e-4)
        unit = ENCODER.encode_image([Image.fromarray(one) for one in turned[::2]])
        unit /= np.linalg.norm(unit, axis=1, keepdims=True)
        mean, text = unit.mean(axis=0), ENCODER.encode_text([captions[name]])[0]
        assert found[image, "orbit.supplied"] == pytest.approx(cosine(mean, text), abs=1e-4)
        seam = [SphereView(180.0, pitch) for pitch in PITCHES]
        around = [SphereView(45.0 * k) for k in range(8)]
        for views, side, samples, name_of_score, texts in (
            (seam, 32, 4, "seam_views.corrected", [captions[name]] * 5),
            (around, 32, 4, "mv_whole.corrected", [captions[name]] * 8),
            (around, 32, 4, "panfusion.mv_CS.corrected", VIEW_CAPTIONS),
            (around, 512, 1, "mvdiffusion.CS", [VIEW_PREFIX + text for text in VIEW_CAPTIONS]),
        ):
            plan = plan_sphere(64, 128, views, side, samples)
            expected = of_pictures(sphere_views(pixels[None], plan)[0], texts).mean()
            assert found[image, name_of_score] == pytest.approx(expected, abs=1e-4)
        assert np.isfinite(found[image, "DS.excess"])
    names = {name for _, name in found}
    assert not names & {"panfusion.CS", "panfusion.rot_CS", "survey.corrected"}
    assert not any(name.endswith((".crop", ".squash")) for name in names)
    page = (scored.folder / "report.html").read_text()
    assert "Of supplied embeddings no panfusion.CS" in page and "colour histogram" in page
    assert (scored.folder / "table.tex").read_text().count("colour histogram") == 1


def test_its_own_embeddings_score_as_a_checkpoint(run_experiment, tmp_path):
    """Panoramas and reference; the whole panorama squashed by the one, and by the other."""
    files = [f"{k}.png" for k in range(6)]
    for name, seed in (("made", 1), ("other", 2), ("real", 3)):
        # Real panoramas need no captions: of them the distances take one picture each.
        write_panoramas(tmp_path / name, files, (128, 64), captions=name != "real", seed=seed)
    options = ["--images", f"{tmp_path / 'made'},{tmp_path / 'other'}"]
    options += ["--reference", tmp_path / "real", "--fits", "squash"]
    views = run_experiment(export_views, "panorama_score", *options, out="views").folder
    assert columns(views / "images.csv", "image_set").count("real") == 6
    model = jclip.load("demo")

    class Squashed:
        name = "squashed"

        def encode_image(self, images):
            return model.embed_images(images, fit="squash")

        def encode_text(self, texts):
            return model.embed_texts(texts)

    jclip.embed_folder(Squashed(), views)
    outside = run_experiment(panorama_score, *options[:4], "--embeddings", views, out="outside")
    assert outside.status == 0, outside.err
    own = run_experiment(panorama_score, *options, out="own")
    found, expected = scores_of(outside.folder), scores_of(own.folder)
    for (image, name), score in expected.items():
        if name.startswith(("plain", "orbit", "yaw_", "DS")):
            theirs = found[image, name.replace("squash", "supplied")]
            assert theirs == pytest.approx(score, abs=1e-4), name
    distances = [
        {row["image_set"]: float(row["distance"]) for row in rows if row["name"] == "CMMD"}
        for rows in (
            csv.DictReader((ended.folder / "distances.csv").read_text().splitlines())
            for ended in (outside, own)
        )
    ]
    assert distances[0] == pytest.approx(distances[1], rel=1e-4) and len(distances[0]) == 2
    record = json.loads((outside.folder / "run.json").read_text())
    assert record["identity"]["fits"] == "supplied"


def test_a_generators_own_pictures(run_experiment, tmp_path):
    scene = tmp_path / "images" / "scene_view"
    scene.mkdir(parents=True)
    rng, pictures = np.random.default_rng(0), []
    for k in range(8):
        pictures.append(rng.integers(0, 256, (40, 40, 3), np.uint8))
        Image.fromarray(pictures[-1]).save(scene / f"{k}.png")
    (scene / "prompt.txt").write_text("\n".join(VIEW_PREFIX + text for text in VIEW_CAPTIONS))
    options = ["--images", tmp_path / "images", "--protocols", "mvdiffusion"]
    views = run_experiment(export_views, "panorama_score", *options, out="views").folder
    embed(views)
    ended = run_experiment(panorama_score, *options, "--embeddings", views, out="scored")
    assert ended.status == 0, ended.err
    (score,) = scores_of(ended.folder).values()
    texts = [VIEW_PREFIX + text for text in VIEW_CAPTIONS]
    assert score == pytest.approx(of_pictures(pictures, texts).mean(), abs=1e-4)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--protocols", "jclip,mvdiffusion"), "of another plan"),
        (("--seam-pitches", "0"), "of another plan"),
        (("--samples", "1"), "of another plan"),
        (("--rescaling", "twice"), "rescaling: of checkpoints, and embeddings are supplied"),
        (("--long-captions", "reference"), "long_captions: of checkpoints"),
    ],
)
def test_what_is_refused(run_experiment, panfusion, more, said):
    root, *_ = panfusion
    options = ["--images", root, "--split", "all"]
    views = run_experiment(export_views, "panorama_score", *options, out="views").folder
    embed(views)
    # Only exported ones name their plan.
    metadata = {"model": "m", "plan": json.loads((views / "plan.json").read_text())["digest"]}
    embed(views, metadata=metadata)
    ended = run_experiment(panorama_score, *options, *more, "--embeddings", views, out="scored")
    assert ended.status == 2 and said in ended.err and ended.err.count("\n") == 1


def test_scores_have_no_mean_over_yaws(run_experiment, panfusion):
    root, captions, _ = panfusion
    options = ["--images", root, "--split", "all"]
    views = run_experiment(export_views, "panorama_score", *options, out="views").folder
    files = columns(views / "images.csv", "file")
    shutil.rmtree(views / "views")
    lines = [f"{file},{text},1" for file in files for text in captions.values()]
    (views / "scores.csv").write_text("file,text,score\n" + "\n".join(lines) + "\n")
    ended = run_experiment(panorama_score, *options, "--embeddings", views, out="scored")
    assert ended.status == 2 and "takes embeddings" in ended.err
