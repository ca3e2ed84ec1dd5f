"""What `import jclip` gives: scores of any images, at the checkpoint's own terms, or a refusal."""

import dataclasses
import doctest
import functools
import inspect
import subprocess
import sys
import warnings
from pathlib import Path

import jax
import jaxtyping
import numpy as np
import pytest
from documents import write_documents_files
from flax import nnx
from PIL import Image

import jclip
from jclip.images import preprocess
from jclip.probes.embed import embed_squares

GOLDEN = Path(__file__).parent / "golden"
CAPTIONS = ["a red ball on sand", "two blue boxes under a clear sky", "a 360 degree view of a wood"]
RNG = np.random.default_rng(0)
# Of several sizes; every one can be tiled.
SIZES = ((64, 128), (90, 110), (64, 64))
GOLDEN = Path(__file__).parent / "golden"
IMAGES = [RNG.integers(0, 256, (*size, 3), dtype=np.uint8) for size in SIZES]
# Another order of summation, of some ten products in float32.
CLOSE = {"atol": 2e-5}


@pytest.fixture(scope="module")
def model():
    return jclip.load("demo")


def unit(values):
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


@functools.cache
def encoder(model):
    graph, state = nnx.split(model.checkpoint.clip)
    return jax.jit(lambda pixels: nnx.merge(graph, state).encode_image(pixels))


def reference(model, images, fit, config):
    """Images through the functions that the tests of images and networks hold to others'."""
    settings = config.mean, config.std, config.interpolation
    pixels = [preprocess(image[None], config.size, fit, *settings) for image in images]
    return unit(np.asarray(encoder(model)(np.concatenate(pixels))))


FACE = [
    *(getattr(jclip, name) for name in ("load", "score", "shift_scores", "caption_ranks")),
    jclip.panorama_scores,
    jclip.zero_shot,
    jclip.Model.embed_images,
    jclip.Model.embed_regions,
    jclip.Model.embed_texts,
    jclip.Model.probabilities,
]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    write_documents_files(folder)
    return folder


@pytest.mark.parametrize("function", FACE, ids=lambda function: function.__name__)
def test_examples_of_docstrings_run(files, monkeypatch, function):
    monkeypatch.chdir(files)
    text = inspect.getdoc(function)
    assert "\nExample:\n" in text
    example = doctest.DocTestParser().get_doctest(
        text, {"jclip": jclip}, function.__name__, None, None
    )
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    said = []
    assert runner.run(example, out=said.append).failed == 0, "".join(said)


def test_every_name_of_the_face_is_there_and_no_other():
    for name in jclip.__all__:
        assert getattr(jclip, name) is not None
    assert set(jclip.__all__) <= set(dir(jclip))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = jclip.nothing


def test_importing_it_imports_no_jax():
    code = "import sys, jclip; print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_loading_prints_nothing(capfd):
    jclip.load("demo")
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_a_model_says_what_it_is(model):
    assert (model.name, model.fit) == ("demo", "crop")
    assert repr(model).startswith("Model demo of ") and repr(model).count("\n") == 2
    assert [notice for notice in model.notices if "rendered scenes only" in notice]
    overridden = jclip.load("demo", activation="gelu")
    assert any("trained with quick_gelu" in notice for notice in overridden.notices)


@pytest.mark.parametrize("fit", [None, "squash", "pad"])
def test_images_are_embedded_at_the_checkpoints_own_terms(model, fit):
    config = dataclasses.replace(
        model.image_config, mean=(0.3, 0.5, 0.6), std=(0.2, 0.3, 0.4), interpolation="bilinear"
    )
    description = dataclasses.replace(model.checkpoint.description, image_config=config)
    other = jclip.Model(dataclasses.replace(model.checkpoint, description=description))
    for of in (model, other):
        found = of.embed_images(IMAGES, fit)
        assert found.dtype == np.float32 and found.shape == (3, 128)
        expected = reference(model, IMAGES, fit or "crop", of.image_config)
        np.testing.assert_allclose(found, expected, **CLOSE)
    assert np.abs(found - model.embed_images(IMAGES, fit)).max() > 1e-2


def test_own_fit_of_another_checkpoint(model):
    config = dataclasses.replace(model.image_config, fit="squash")
    description = dataclasses.replace(model.checkpoint.description, image_config=config)
    other = jclip.Model(dataclasses.replace(model.checkpoint, description=description))
    assert other.fit == "squash"
    np.testing.assert_array_equal(other.embed_images(IMAGES), model.embed_images(IMAGES, "squash"))
    np.testing.assert_array_equal(
        jclip.shift_scores(other, IMAGES[:1], CAPTIONS[:1], shifts=4),
        jclip.shift_scores(model, IMAGES[:1], CAPTIONS[:1], shifts=4, fit="squash"),
    )


def test_paths_pictures_and_arrays_are_the_same_images(model, tmp_path):
    expected = model.embed_images(IMAGES)
    paths = [tmp_path / f"{i}.png" for i in range(3)]
    for path, image in zip(paths, IMAGES, strict=True):
        Image.fromarray(image).save(path)
    with Image.open(paths[1]) as opened:
        mixed = [str(paths[0]), opened, jax.numpy.asarray(IMAGES[2])]
        np.testing.assert_array_equal(model.embed_images(mixed), expected)
    np.testing.assert_array_equal(model.embed_images(paths), expected)
    batch = np.stack([IMAGES[0], IMAGES[0][::-1]])
    np.testing.assert_array_equal(model.embed_images(batch), model.embed_images([*batch]))
    grey = Image.fromarray(IMAGES[0][..., 0])
    np.testing.assert_array_equal(
        model.embed_images([grey]), model.embed_images([np.asarray(grey.convert("RGB"))])
    )


def test_many_images_keep_their_order_and_share_programs(model):
    images = [np.full((40 + i % 3, 60, 3), i, np.uint8) for i in range(70)]
    found = model.embed_images(images)
    compiled = embed_squares._cache_size()
    for rows in (slice(3, 4), slice(60, 70)):
        np.testing.assert_allclose(model.embed_images(images[rows]), found[rows], **CLOSE)
    # Ten images are filled up to sixteen, and of other sizes they are the same squares.
    assert model.embed_images([image[:, :50] for image in images[:9]]).shape == (9, 128)
    assert embed_squares._cache_size() <= compiled + 2


def test_a_score_is_a_hundred_times_the_cosine(model):
    images, texts = model.embed_images(IMAGES), model.embed_texts(CAPTIONS)
    np.testing.assert_allclose(np.linalg.norm(images, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(texts, axis=1), 1, atol=1e-6)
    scores = jclip.score(model, IMAGES, CAPTIONS)
    assert scores.shape == (3,)
    np.testing.assert_allclose(scores, 100 * np.diag(images @ texts.T), atol=1e-4)


@pytest.mark.parametrize("fit", [None, "squash", "tiles"])
def test_shift_scores_are_scores_of_shifted_panoramas(model, fit):
    images, captions = IMAGES[:2], CAPTIONS[:2]
    found = jclip.shift_scores(model, images, captions, shifts=4, fit=fit)
    assert found.shape == (2, 4) and found.dtype == np.float32
    for k in range(4):
        turned = [np.roll(image, k * image.shape[1] // 4, axis=1) for image in images]
        expected = jclip.score(model, turned, captions, fit=fit)
        np.testing.assert_allclose(found[:, k], expected, atol=2e-3)


@pytest.mark.parametrize("fit", [None, "squash", "tiles", "cube"])
def test_panorama_scores_do_not_depend_on_where_a_panorama_is_cut(model, fit):
    images, captions = [IMAGES[0], IMAGES[0][:, ::-1]], CAPTIONS[:2]
    found = jclip.panorama_scores(model, images, captions, orbit=4, fit=fit)
    yaws = jclip.shift_scores(model, images, captions, shifts=4, fit=fit)
    np.testing.assert_allclose(found.single, yaws[:, 0], atol=2e-3)
    np.testing.assert_allclose(found.spread, np.ptp(yaws, axis=1), atol=4e-3)
    np.testing.assert_allclose(found.deviation, yaws.std(axis=1), atol=4e-3)
    turned = [np.roll(image, 32, axis=1) for image in images]
    again = jclip.panorama_scores(model, turned, captions, orbit=4, fit=fit)
    np.testing.assert_allclose(again.score, found.score, atol=1e-4)
    assert np.abs(again.single - found.single).min() > 1e-2
    seen = model.embed_images(images, fit, orbit=4)
    scores = 100 * np.sum(seen * model.embed_texts(captions), axis=1)
    np.testing.assert_allclose(found.score, scores, atol=1e-4)


def test_caption_ranks_are_of_the_box_alone(model):
    image = IMAGES[1]
    boxes = [[10, 20, 50, 40], [0, 0, 110, 90], [60.5, 30.25, 40, 40]]
    captions = [CAPTIONS, CAPTIONS[::-1], [CAPTIONS[1], CAPTIONS[2]]]
    ranks = jclip.caption_ranks(model, image, boxes, captions)
    crops = [image[20:60, 10:60], image, image[30:71, 60:101]]
    for crop, own, rank in zip(crops, captions, ranks, strict=True):
        scores = jclip.score(model, [crop] * len(own), own)
        assert rank == 1 + (scores[1:] > scores[0]).sum()
    seen = {rank for order in (CAPTIONS, CAPTIONS[1:] + CAPTIONS[:1], CAPTIONS[2:] + CAPTIONS[:2])
            for rank in jclip.caption_ranks(model, image, boxes[:1], [order])}  # fmt: skip
    assert seen == {1, 2, 3}


def test_ties_of_captions(model):
    # A tower that sees one token alike for both: the second is cut off.
    long = "a red ball " * 30
    with pytest.warns(UserWarning, match="2 of 2 texts are longer than 40 tokens and were cut"):
        averaged = jclip.caption_ranks(model, IMAGES[0], [[0, 0, 9, 9]], [[long, long + "x"]])
    with pytest.warns(UserWarning, match="were cut"):
        reference = jclip.caption_ranks(
            model, IMAGES[0], [[0, 0, 9, 9]], [[long, long + "x"]], ties="reference"
        )
    assert (averaged[0], reference[0]) == (1.5, 2)


def test_texts_that_are_not_what_they_seem_are_told(model):
    with pytest.warns(UserWarning, match="1 of 2 texts have other tokens than their letters give"):
        mended = model.embed_texts(["Tom &amp; Jerry", "a hall"])
    np.testing.assert_array_equal(mended[0], model.embed_texts(["tom & jerry"])[0])
    with pytest.warns(UserWarning, match="1 of 1 texts hold a mark of a text's start or end"):
        model.embed_texts(["a hall <|endoftext|> at night"])


def test_zero_shot_classes_are_means_over_templates(model):
    classes, templates = ["a ball", "a box"], ["a photo of {}", "{}", "{} on sand"]
    found = jclip.zero_shot(model, IMAGES, classes, templates)
    prompts = [[template.format(name) for template in templates] for name in classes]
    texts = unit(np.array([model.embed_texts(own).mean(axis=0) for own in prompts]))
    np.testing.assert_allclose(found, 100 * model.embed_images(IMAGES) @ texts.T, atol=1e-4)
    alone = jclip.zero_shot(model, IMAGES, classes)
    captions = [f"a photo of {name}" for name in classes]
    for column, caption in enumerate(captions):
        np.testing.assert_allclose(
            alone[:, column], jclip.score(model, IMAGES, [caption] * 3), atol=1e-4
        )


def test_probabilities_are_those_of_the_library():
    expected = np.load(GOLDEN / "siglip" / "expected.npz")
    images, texts = unit(expected["image_embeds"]), unit(expected["text_embeds"])
    found = jclip.load(GOLDEN / "siglip").probabilities(100 * images @ texts.T)
    assert found.dtype == np.float32
    wanted = 1 / (1 + np.exp(-expected["logits_per_image"].astype(np.float64)))
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_only_a_sigmoid_loss_makes_probabilities(model):
    with pytest.raises(jclip.InputError, match="demo: no sigmoid loss trained it, so scores only"):
        model.probabilities(np.zeros(2))


def test_texts_have_kinds_where_a_model_knows_them(model, as_users_have_it):
    expected = np.load(GOLDEN / "fgclip2" / "expected.npz")
    texts = [text or "a" for text in expected["texts"].tolist()]
    rows = [row for row, text in enumerate(expected["texts"].tolist()) if text.strip()]
    found = jclip.load(GOLDEN / "fgclip2")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        for kind in ("short", "box", "long"):
            wanted = unit(expected[f"{kind}_text_embeds"])
            own = found.embed_texts([texts[row] for row in rows], kind=kind)
            np.testing.assert_allclose(own, wanted[rows], atol=1e-5)
    with pytest.raises(jclip.InputError, match="kind: 'long', but demo knows one kind of texts"):
        model.embed_texts(CAPTIONS, kind="long")
    with pytest.raises(jclip.InputError, match="kind: 'tall' is none of short, box, long"):
        model.embed_texts(CAPTIONS, kind="tall")


def test_an_adapter_is_merged_and_named(model, files):
    adapted = jclip.load("demo", adapter=files / "my_lora")
    assert adapted.name == "demo+my_lora"
    assert "adapter" in adapted.checkpoint.identity.sha256
    assert not jax.tree.leaves(nnx.state(adapted.checkpoint.clip, nnx.LoRAParam))
    assert any("rendered scenes only" in notice for notice in adapted.notices)
    assert np.abs(adapted.embed_images(IMAGES) - model.embed_images(IMAGES)).max() > 1e-3


FLOATS = IMAGES[0] / np.float32(255)
REFUSED = {
    "a single path": ("photo.jpg", "images: a single image"),
    "a single picture": (Image.fromarray(IMAGES[0]), "images: a single image"),
    "a single array": (IMAGES[0], r"images: an array of shape \(64, 128, 3\)"),
    "none": ([], "images: an empty list"),
    "a set": ({"a.jpg"}, "images: a set where a list"),
    "a number": (3, "images: a int where a list"),
    "no image": ([IMAGES[0], 3], r"images\[1\]: a int is no image"),
    "a picture of floats": ([Image.fromarray(FLOATS[..., 0])], r"images\[0\]: 16-bit image"),
    "an array of floats": (FLOATS[None], r"images\[0\]: float32 values"),
    "an array without images": (np.zeros((0, 9, 8, 3), np.uint8), "images: an empty list"),
    "floats": ([FLOATS], r"images\[0\]: float32 values; pixels are uint8"),
    "channels first": (
        [np.zeros((3, 9, 8), np.uint8)],
        r"images\[0\]: shape \(3, 9, 8\), not \[H, W, 3\] \(channels come last\)",
    ),
    "a batch of channels first": (
        np.zeros((2, 3, 9, 8), np.uint8),
        r"images\[0\]: shape \(3, 9, 8",
    ),
    "RGBA": ([np.zeros((9, 8, 4), np.uint8)], r"images\[0\]: shape \(9, 8, 4\)"),
    "no pixels": ([np.zeros((0, 8, 3), np.uint8)], r"images\[0\]: shape \(0, 8, 3\)"),
    "a missing file": (["nowhere.jpg"], r"images\[0\]: nowhere.jpg: not an image"),
    "16 bits": (
        [Image.fromarray(np.zeros((4, 4), np.uint16))],
        r"images\[0\]: 16-bit image",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_list_of_images_is_refused_by_name(model, case):
    images, message = REFUSED[case]
    with pytest.raises(jclip.InputError, match=message):
        model.embed_images(images)


def unchecked(method):
    """Without the checks of types that only tests make."""
    return inspect.unwrap(method.__func__)


def ranks(model, boxes=((0, 0, 9, 9),), captions=(("a", "b"),), image=IMAGES[0], fit=None):
    return jclip.caption_ranks(model, image, boxes, captions, fit=fit)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m.embed_texts("a ball"), "texts: a single text where a list"),
        (lambda m: m.embed_texts([]), "texts: an empty list"),
        (lambda m: m.embed_texts(["a", " "]), r"texts\[1\]: a blank text"),
        (lambda m: unchecked(m.embed_texts)(m, ["a", 1]), r"texts\[1\]: a int where a text"),
        (lambda m: unchecked(m.settled_fit)(m, "stretch", []), "fit: 'stretch' is none of crop,"),
        (lambda m: m.embed_images([IMAGES[0][:, :9]], "tiles"), r"images\[0\]: fit 'tiles' needs"),
        (lambda m: jclip.score(m, IMAGES, "a ball"), "captions: a single text"),
        (lambda m: jclip.score(m, IMAGES, ["a ball"]), "captions: 1 for 3 images"),
        (lambda m: jclip.shift_scores(m, IMAGES[0], CAPTIONS), "panoramas: an array of shape"),
        (lambda m: jclip.shift_scores(m, IMAGES, CAPTIONS, shifts=1), "1 shifts: 0 is one of them"),
        (lambda m: jclip.panorama_scores(m, IMAGES, CAPTIONS, orbit=1), "orbit: 1 is a single yaw"),
        (lambda m: m.embed_images(IMAGES, "cube"), r"images\[1\]: a panorama of 110 x 90"),
        (lambda m: m.embed_images(IMAGES, orbit=200), "an orbit of 200 yaws: more than the 1"),
        (
            lambda m: jclip.shift_scores(m, [IMAGES[0][:, :9]], ["a"], fit="tiles"),
            r"panoramas\[0\]: fit 'tiles' needs",
        ),
        (lambda m: ranks(m, image=IMAGES), "image: a list is no image"),
        (lambda m: ranks(m, boxes=[0, 0, 9, 9]), "boxes: not a list of boxes"),
        (lambda m: ranks(m, boxes=[]), "boxes: not a list of boxes"),
        (lambda m: ranks(m, boxes=[[0, 0, 0, 9]]), r"boxes\[0\]: .* has no size"),
        (lambda m: ranks(m, boxes=[[0, 0, np.nan, 9]]), r"boxes\[0\]: .* has no size"),
        (lambda m: ranks(m, boxes=[[99, 9, 128, 60]]), r"boxes\[0\]: .* reaches out .* 128 x 64"),
        (lambda m: ranks(m, boxes=[[-1, 0, 9, 9]]), r"boxes\[0\]: .* reaches out"),
        (lambda m: ranks(m, boxes=[["0", "0", "9", "9"]]), "boxes: not a list of boxes"),
        (lambda m: ranks(m, boxes=np.ones((1, 4), bool)), "boxes: not a list of boxes"),
        (lambda m: ranks(m, captions=[["a", "b\ud83d"]]), r"captions\[0\]\[1\]: .* surrogate"),
        (lambda m: m.embed_texts(["a dog \ud83d"]), r"texts\[0\]: half a surrogate pair.* 'a dog"),
        (lambda m: ranks(m, fit="tiles"), "fit: 'tiles' is for panoramas"),
        (lambda m: ranks(m, captions="ab"), "captions: a list of captions for every box"),
        (lambda m: ranks(m, captions=["a", "b"]), "captions: 2 lists for 1 boxes"),
        (lambda m: ranks(m, captions=["ab"]), r"captions\[0\]: a single text"),
        (lambda m: ranks(m, captions=[["a"]]), r"captions\[0\]: no wrong caption"),
        (lambda m: ranks(m, captions=[["a", "b", "a"]]), r"captions\[0\]: the right caption is am"),
        (lambda m: jclip.zero_shot(m, IMAGES, "ball"), "classes: a single text"),
        (lambda m: jclip.zero_shot(m, IMAGES, ["a"], "a {}"), "templates: a single text"),
        (lambda m: jclip.zero_shot(m, IMAGES, ["a"], ["a"]), r"templates\[0\]: 'a' does not hold"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(model, call, message):
    with pytest.raises(jclip.InputError, match=message):
        call(model)


@pytest.fixture
def as_users_have_it():
    """Without the checks of types that only tests make."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", before)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda m: jclip.score("demo", IMAGES, CAPTIONS), TypeError, "model: a str where"),
        (lambda m: jclip.shift_scores(None, IMAGES, CAPTIONS), TypeError, "model: a NoneType"),
        (lambda m: jclip.caption_ranks(m.checkpoint, IMAGES[0], [], []), TypeError, "model: a Ch"),
        (lambda m: jclip.zero_shot(1, IMAGES, ["a"]), TypeError, "model: a int"),
        (lambda m: jclip.save_clip("saved", m), TypeError, "a Model where what load_checkpoint"),
        (lambda m: jclip.Model("demo"), TypeError, "checkpoint: a str; jclip.load makes"),
        (lambda m: jclip.load("demo", dtype=np.int8), TypeError, "dtype: .*int8.* is no type of"),
        (lambda m: jclip.load("demo", activation="relu"), ValueError, "activation: 'relu' is none"),
        (lambda m: jclip.load(3), TypeError, "int"),
        (lambda m: jclip.save_clip("x", m.checkpoint, dtype="int8"), ValueError, "dtype: 'int8'"),
        (
            lambda m: jclip.shift_scores(m, IMAGES, CAPTIONS, shifts=2.5),
            TypeError,
            "shifts: 2.5 is no whole number",
        ),
        (
            lambda m: jclip.caption_ranks(m, IMAGES[0], [[0, 0, 9, 9]], [CAPTIONS], ties="none"),
            jclip.InputError,
            "ties: 'none' is none of reference, averaged",
        ),
    ],
)
def test_arguments_of_another_kind_are_refused_by_name(
    model, as_users_have_it, call, kind, message
):
    with pytest.raises(kind, match=message):
        call(model)


def test_images_and_texts_may_come_from_generators(model, as_users_have_it):
    expected = jclip.score(model, IMAGES, CAPTIONS)
    found = jclip.score(model, (image for image in IMAGES), (text for text in CAPTIONS))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", ["hf_gelu", "hf_quick_gelu"])
def test_regions_of_a_picture_are_those_of_fgclips_way(name):
    arrays = np.load(GOLDEN / "fine_grained" / f"dense_{name}.npz")
    found = jclip.load(GOLDEN / name).embed_regions(arrays["picture"], arrays["boxes_xywh"])
    assert np.abs(found - unit(arrays["regions"])).max() < 1e-5
    texts = unit(np.load(GOLDEN / name / "expected.npz")["text_embeds"])
    assert np.abs(100 * found @ texts.T - arrays["region_scores"]).max() < 1e-3


def test_boxes_of_an_image_do_not_depend_on_each_other(model):
    boxes = np.array([[0, 0, 64, 64], [3, 5, 20, 30], [60, 60, 4, 4.0]])
    image = IMAGES[2]
    found = model.embed_regions(image, boxes)
    assert found.shape == (3, 128) and found.dtype == np.float32
    alone = np.concatenate([model.embed_regions(image, [box]) for box in boxes.tolist()])
    np.testing.assert_allclose(found, alone, **CLOSE)
    for wrong, words in (([[0, 0, 0, 4]], "has no size"), ([[60, 0, 5, 5]], "reaches out")):
        with pytest.raises(jclip.InputError, match=words):
            model.embed_regions(image, wrong)


def test_a_model_without_features_of_patches_has_no_regions():
    model = jclip.load(GOLDEN / "siglip")
    with pytest.raises(jclip.InputError, match="no features in the space of texts"):
        model.embed_regions(IMAGES[0], [[0, 0, 9, 9]])
