"""Scores of a model, as a notebook asks for them; the experiments are their streaming form."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float32

from jclip.data.arguments import (
    boxes_argument,
    captions_of_boxes,
    image_argument,
    images_argument,
    one_of,
    texts_argument,
)
from jclip.data.images import decode
from jclip.data.pipeline import stream_batches
from jclip.errors import InputError
from jclip.images import Fit
from jclip.images.arguments import whole_number
from jclip.images.boxes import crop_box
from jclip.images.fits import OWN
from jclip.images.sphere_fits import sphere_cameras
from jclip.model import Model, rounded_plans
from jclip.models import CLIP
from jclip.probes.outside import Encoder, OutsideModel
from jclip.probes.probe import stream_scores
from jclip.probes.shift import ShiftProbe
from jclip.probes.subjects import Subject
from jclip.probes.zero_shot import class_embeddings
from jclip.statistics.ranks import Ties, positive_ranks
from jclip.text.templates import prompts_of

_VIEWS_PER_STEP = 16


type Asked = Model | OutsideModel | Encoder
"""What `jclip.load` returns, or any object with `encode_image` and `encode_text`."""


def settled(model: Any) -> Model | OutsideModel:
    """A model as the functions of the face ask it.

    Raises:
        TypeError: it is neither what `jclip.load` returns nor an object that embeds pictures.
    """
    if isinstance(model, Model | OutsideModel):
        return model
    # A bare network has methods of these names too, which take normalised pixels and token ids.
    if isinstance(model, Encoder) and not isinstance(model, CLIP | type):
        return OutsideModel(model)
    raise TypeError(
        f"model: a {type(model).__name__} where what jclip.load returns is meant, or an object "
        "whose encode_image takes pictures and whose encode_text takes texts"
    )


def score(
    model: Asked, images: Any, captions: Sequence[str], fit: Fit | None = None
) -> Float32[np.ndarray, " n"]:
    """The score of every image and its own caption, 100 x cosine, `[N]`.

    Args:
        model: from `jclip.load`, or any object with `encode_image` and `encode_text`.
        images: see `Model.embed_images`.
        captions: one for each image.
        fit: how an image becomes a square; the checkpoint's own by default.

    Raises:
        InputError: what cannot be used is named.

    Example:
        >>> model = jclip.load("demo")
        >>> jclip.score(model, ["photo.jpg"], ["a red ball on sand under a clear sky"]).shape
        (1,)
    """
    model = settled(model)
    files = images_argument(images)
    captions = texts_argument(captions, count=len(files))
    seen, texts = model.embed_files(files, fit), model.embed_texts(captions)
    return 100 * np.sum(seen * texts, axis=1)


def shift_scores(
    model: Asked,
    panoramas: Any,
    captions: Sequence[str],
    shifts: int = 8,
    fit: Fit | None = None,
) -> Float32[np.ndarray, "n s"]:
    """The scores of panoramas at equal circular shifts, 100 x cosine, `[N, S]` (paper 1, probe B).

    Column k is of the panorama turned by `k * 360 / S` degrees: its content moved
    `k * width // S` pixels to the right. Column 0 is the panorama as it is.

    Args:
        model: from `jclip.load`, or any object with `encode_image` and `encode_text`.
        panoramas: equirectangular; see `Model.embed_images` for what an image may be.
        captions: one for each panorama.
        shifts: S, at least 2.
        fit: how a panorama becomes a square; the checkpoint's own by default.

    Raises:
        InputError: what cannot be used is named.

    Example:
        >>> model = jclip.load("demo")
        >>> captions = ["a 360 degree view of a city square"]
        >>> jclip.shift_scores(model, ["panorama.jpg"], captions, fit="squash").shape
        (1, 8)
    """
    model = settled(model)
    files, shifts = images_argument(panoramas, "panoramas"), whole_number("shifts", shifts, None)
    captions = texts_argument(captions, count=len(files))
    widths = [file.width for file in files]
    if isinstance(model, OutsideModel):
        model.settled_fit(fit)
        probe = ShiftProbe(widths, shifts, fits=(OWN,), views_per_step=_VIEWS_PER_STEP)
        texts = model.embed_texts(captions)
        # One panorama at a time: all of its views are there at once.
        seen = [
            model.embed_pictures([*probe.picture_views(decode(file)).values()]) for file in files
        ]
        return 100 * np.einsum("nve,ne->nv", np.stack(seen), texts)
    fit = model.settled_fit(fit, files)
    probe = ShiftProbe(widths, shifts, fits=(fit,), views_per_step=_VIEWS_PER_STEP)
    texts = model.embed_texts(captions)[:, None]
    subject = Subject(model.name, fit, model.network, model.image_config, texts)
    batches = stream_batches(files, rounded_plans(files, probe.views), record_failures=False)
    found = np.empty((len(files), len(probe.columns)), np.float32)
    for batch, scores in stream_scores(batches, [subject], probe):
        if scores is not None:
            found[list(batch.indices)] = scores[0]
    return found


class PanoramaScores(NamedTuple):
    """Scores of panoramas that do not depend on where they are cut open, 100 x cosine, `[N]` each.

    Attributes:
        score: of the orbit: of the mean of the embeddings at all its yaws, of length 1 again.
        single: of the panorama as it is.
        spread: the largest less the smallest score over the orbit's yaws.
        deviation: the standard deviation of the scores over these yaws (of the population).
    """

    score: Float32[np.ndarray, " n"]
    single: Float32[np.ndarray, " n"]
    spread: Float32[np.ndarray, " n"]
    deviation: Float32[np.ndarray, " n"]


def panorama_scores(
    model: Asked,
    panoramas: Any,
    captions: Sequence[str],
    orbit: int = 8,
    fit: Fit | None = None,
) -> PanoramaScores:
    """The robust score of panoramas and their captions, and how much a single view's would vary.

    The embedding of a panorama is the mean over an orbit of equal yaws, so that its score is the
    same at each of these: the mean of their scores, divided by the length of the mean embedding.

    Args:
        model: from `jclip.load`, or any object with `encode_image` and `encode_text`.
        panoramas: equirectangular; see `Model.embed_images` for what an image may be.
        captions: one for each panorama.
        orbit: how many yaws, at least 2.
        fit: how a panorama becomes a square; the checkpoint's own by default.

    Raises:
        InputError: what cannot be used is named.

    Example:
        >>> model = jclip.load("demo")
        >>> captions = ["a 360 degree view of a city square"]
        >>> found = jclip.panorama_scores(model, ["panorama.jpg"], captions, orbit=4)
        >>> found.score.shape, found.spread.shape
        ((1,), (1,))
    """
    model = settled(model)
    files, orbit = images_argument(panoramas, "panoramas"), whole_number("orbit", orbit, None)
    captions = texts_argument(captions, count=len(files))
    own: Any = model.settled_fit(fit, files)
    if orbit < 2:
        raise InputError(f"orbit: {orbit} is a single yaw; jclip.score takes a panorama as it is")
    texts, seen = model.embed_texts(captions), model.embed_orbits(files, own, orbit)
    yaws = 100 * np.einsum("nke,ne->nk", seen, texts)
    mean = seen.mean(axis=1)
    whole = yaws.mean(axis=1) / np.linalg.norm(mean, axis=1)
    return PanoramaScores(whole, yaws[:, 0], np.ptp(yaws, axis=1), yaws.std(axis=1))


def caption_ranks(
    model: Asked,
    image: Any,
    boxes: Any,
    captions: Sequence[Sequence[str]],
    ties: Ties = "averaged",
    fit: Fit | None = None,
) -> Float[np.ndarray, " b"]:
    """The rank of the right caption of every box among its own captions, `[B]`, 1 for the best.

    A box is cut out of the image and made a square as an image of its own (paper 2).

    Args:
        model: from `jclip.load`, or any object with `encode_image` and `encode_text`.
        image: a PIL image, an RGB array `[H, W, 3] uint8`, or a path.
        boxes: `[x, y, w, h]` in pixels each, x and y of the upper left corner.
        captions: for each box a list, the right caption first, then wrong ones.
        ties: `averaged` counts half of the wrong captions with the right one's score, so that a
            model that tells nothing apart is at chance; `reference` counts them all, as paper 2's
            code does.
        fit: how a box becomes a square, `crop`, `squash` or `pad`; the checkpoint's own by default.

    Raises:
        InputError: what cannot be used is named.

    Example:
        >>> model = jclip.load("demo")
        >>> captions = [["a red ball", "a blue ball", "a green ball"]]
        >>> jclip.caption_ranks(model, "photo.jpg", [[40, 30, 50, 50]], captions).shape
        (1,)
    """
    model = settled(model)
    file, ties = image_argument(image), one_of("ties", ties, Ties)
    boxes = boxes_argument(boxes, file)
    if (fit or model.fit) == "tiles" or sphere_cameras(fit):
        raise InputError(f"fit: {fit!r} is for panoramas, and a box is no circle")
    listed = captions_of_boxes(captions, len(boxes))
    pixels = decode(file)
    crops = []
    for row, box in enumerate(boxes):
        left, top, right, bottom = crop_box(box.tolist(), 1.0, file.width, file.height)
        crops.append(image_argument(pixels[top:bottom, left:right], f"boxes[{row}]"))
    seen = model.embed_files(crops, fit)
    counts = [len(own) for own in listed]
    texts = model.embed_texts([caption for own in listed for caption in own])
    scores = np.full((len(boxes), max(counts)), np.nan)
    # Summed in one order for every caption, so that equal captions tie.
    scores[np.arange(max(counts)) < np.array(counts)[:, None]] = np.sum(
        np.repeat(seen, counts, axis=0) * texts, axis=1
    )
    return positive_ranks(scores, ties)[np.arange(len(boxes)), np.array(counts) - 2]


def zero_shot(
    model: Asked,
    images: Any,
    classes: Sequence[str],
    templates: Sequence[str] = ("a photo of {}",),
    fit: Fit | None = None,
) -> Float32[np.ndarray, "n c"]:
    """The score of every image and every class, 100 x cosine, `[N, classes]`.

    A class is the mean of the embeddings of all templates with its name in them, each of length 1,
    scaled to length 1 again (Radford et al. 2021, prompt ensembling).

    Args:
        model: from `jclip.load`, or any object with `encode_image` and `encode_text`.
        images: see `Model.embed_images`.
        classes: their names, such as "a forest".
        templates: texts in which `{}` stands for the name; a list of one or more.
        fit: how an image becomes a square; the checkpoint's own by default.

    Raises:
        InputError: what cannot be used is named.

    Example:
        >>> model = jclip.load("demo")
        >>> scores = jclip.zero_shot(model, ["photo.jpg"], ["a forest", "a city", "a desert"])
        >>> scores.argmax(axis=1).shape
        (1,)
    """
    model = settled(model)
    classes, templates = texts_argument(classes, "classes"), texts_argument(templates, "templates")
    for row, template in enumerate(templates):
        if template.count("{}") != 1:
            raise InputError(f"templates[{row}]: {template!r} does not hold one {{}} for the class")
    seen = model.embed_images(images, fit)
    prompts = prompts_of(classes, templates)
    return 100 * seen @ class_embeddings(model.embed_texts(prompts), len(classes)).T
