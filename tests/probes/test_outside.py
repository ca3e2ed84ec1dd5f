"""Any object with `encode_image` and `encode_text` is a model for the face, and is held to it."""

import numpy as np
import pytest
from histogram_encoder import Histogram, cosine
from PIL import Image

import jclip
from jclip.data.image_sets import open_image_set
from jclip.probes.outside import OutsideModel
from jclip.probes.probe import CaptionProbe
from jclip.probes.view_plans import plan_captions

ENCODER = Histogram()
RNG = np.random.default_rng(0)
IMAGES = [RNG.integers(0, 256, size, dtype=np.uint8) for size in ((30, 50, 3), (30, 50, 3))]
TEXTS = ["a red ball on sand", "two blue boxes"]


def test_scores_of_images():
    expected = cosine(ENCODER.encode_image(IMAGES), ENCODER.encode_text(TEXTS))
    np.testing.assert_allclose(jclip.score(ENCODER, IMAGES, TEXTS), expected, atol=1e-4)
    # A file is what its pixels are.
    asked = [Image.fromarray(IMAGES[0]), IMAGES[1]]
    np.testing.assert_array_equal(
        jclip.score(ENCODER, asked, TEXTS), jclip.score(ENCODER, IMAGES, TEXTS)
    )


def test_classes():
    found = jclip.zero_shot(ENCODER, IMAGES, ["a forest", "a city"], ["{}", "a photo of {}"])
    texts = np.stack([ENCODER.encode_text([c, f"a photo of {c}"]) for c in ("a forest", "a city")])
    mean = (texts / np.linalg.norm(texts, axis=-1, keepdims=True)).mean(axis=1)
    expected = cosine(ENCODER.encode_image(IMAGES)[:, None], mean[None])
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_orbits_of_panoramas():
    panorama = RNG.integers(0, 256, (20, 40, 3), dtype=np.uint8)
    found = jclip.panorama_scores(ENCODER, [panorama], TEXTS[:1], orbit=4)
    seen = ENCODER.encode_image([np.roll(panorama, 10 * k, axis=1) for k in range(4)])
    scores = cosine(seen, ENCODER.encode_text(TEXTS[:1]))
    np.testing.assert_allclose([found.single[0], found.spread[0]], [scores[0], np.ptp(scores)],
                               atol=1e-4)  # fmt: skip
    mean = (seen / np.linalg.norm(seen, axis=1, keepdims=True)).mean(axis=0, keepdims=True)
    np.testing.assert_allclose(found.score, cosine(mean, ENCODER.encode_text(TEXTS[:1])), atol=1e-4)


def test_many_inputs_go_in_parts():
    sizes = []

    class Counted(Histogram):
        def encode_image(self, images):
            assert all(isinstance(image, Image.Image) and image.mode == "RGB" for image in images)
            sizes.append(len(images))
            return super().encode_image(images)

    model = OutsideModel(Counted())
    found = model.embed_images([IMAGES[0]] * 150)
    assert sizes == [64, 64, 22] and np.ptp(found, axis=0).max() == 0
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)


class Tensor:
    """What PyTorch gives back, as far as NumPy is concerned."""

    def __init__(self, values):
        self.values = values

    def detach(self):
        return self

    def cpu(self):
        return self

    def float(self):
        return self.values.astype(np.float32)


def test_tensors_of_torch():
    class Torch(Histogram):
        def encode_image(self, images):
            return Tensor(super().encode_image(images))

    np.testing.assert_array_equal(
        jclip.score(Torch(), IMAGES, TEXTS), jclip.score(ENCODER, IMAGES, TEXTS)
    )


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda n: np.ones((n, 48)) * [[1]] * np.nan, "the embedding of images.0. is not finite"),
        (lambda n: np.zeros((n, 48)), "not finite or zero"),
        (lambda n: np.ones((n - 1, 48)), r"float64 \(1, 48\) for 2 inputs; \[N, D\] is meant"),
        (lambda n: np.ones((n, 48), int), r"int64 \(2, 48\) for 2 inputs"),
        (lambda n: np.ones(48), r"\(48,\) for 2 inputs"),
    ],
)
def test_what_an_encoder_gives_is_checked(made, words):
    class Wrong(Histogram):
        def encode_image(self, images):
            return made(len(images))

    with pytest.raises(jclip.InputError, match=f"encode_image: .*{words}|encode_image: {words}"):
        jclip.score(Wrong(), IMAGES, TEXTS)


def test_the_fit_is_the_encoders():
    for ask in (
        lambda: jclip.score(ENCODER, IMAGES, TEXTS, fit="crop"),
        lambda: jclip.shift_scores(ENCODER, IMAGES, TEXTS, 2, fit="squash"),
    ):
        with pytest.raises(jclip.InputError, match="colour histogram prepares its images itself"):
            ask()


def test_other_objects_are_refused(tmp_path):
    with pytest.raises(TypeError, match="object"):
        jclip.score(object(), IMAGES, TEXTS)
    # A network has methods of these names, of normalised pixels and token ids; a class, of nothing.
    for other, name in ((Histogram, "type"), (jclip.load_clip("demo"), "CLIP")):
        for ask in (
            lambda other=other: jclip.score(other, IMAGES, TEXTS),
            lambda other=other: jclip.embed_folder(other, tmp_path),
        ):
            with pytest.raises(TypeError, match=f"a {name} where what jclip.load returns is meant"):
                ask()


def test_a_probe_has_to_say_what_its_views_are():
    class Blur(CaptionProbe):
        pass

    opened = open_image_set("samples")
    with pytest.raises(jclip.InputError, match="Blur: its views are no pictures"):
        plan_captions([opened], Blur(["sharp", "blurred"]))
