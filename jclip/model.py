"""A model as a notebook has it: embeddings of any images and texts, at the checkpoint's own terms.

Programs are compiled once for each number of images (rounded up to a power of two) and length of
texts; images of all sizes share them.
"""

import dataclasses
import functools
import warnings
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float, Float32

from jclip.checkpoints import (
    DEMO_NOTICE,
    Checkpoint,
    ImageConfig,
)
from jclip.data.arguments import (
    boxes_argument,
    image_argument,
    images_argument,
    one_of,
    texts_argument,
)
from jclip.data.feature_inputs import square_part
from jclip.data.images import ImageFile, check_fit
from jclip.data.pipeline import Batch, BatchPlan, plan_batches
from jclip.data.region_inputs import picture_regions
from jclip.distributed import local_mesh, shard_batch
from jclip.errors import InputError
from jclip.images import Fit
from jclip.images.arguments import whole_number
from jclip.images.fits import known_fit
from jclip.images.sphere_fits import sphere_cameras
from jclip.models.config import TextKind
from jclip.models.unit_norm import normalised, unit_rows
from jclip.probes.embed import (
    Network,
    device_plans,
    embed_all,
    embed_squares,
    embed_texts,
    embed_views,
    orbit_shifts,
    split_network,
)
from jclip.probes.regions import embed_regions
from jclip.probes.scores import sigmoid_of
from jclip.text.pieces import PieceTokenizer
from jclip.text.tokenizer import Tokenizer

# Images per device and step of the network.
_IMAGES_AT_ONCE = 64


class Model:
    """A checkpoint ready to be asked.

    Its own fit, filter, mean, standard deviation and tokenizer apply. Images are PIL images, RGB
    arrays `[H, W, 3] uint8` or paths, in lists of any sizes, or one array `[N, H, W, 3] uint8`.

    Args:
        checkpoint: of which everything is taken.
    """

    def __init__(self, checkpoint: Checkpoint):
        if not isinstance(checkpoint, Checkpoint):
            raise TypeError(
                f"checkpoint: a {type(checkpoint).__name__}; jclip.load makes a model from a name"
            )
        self.checkpoint = checkpoint
        self._plans = functools.cache(device_plans)
        self._tokenizer = functools.cache(self._tokenizer_of)

    def __repr__(self) -> str:
        return repr(self.checkpoint).replace("Checkpoint", "Model", 1)

    @property
    def name(self) -> str:
        """What results call it."""
        return self.checkpoint.identity.name

    @property
    def image_config(self) -> ImageConfig:
        """How images are prepared: size, fit, filter, mean and standard deviation."""
        return self.checkpoint.image_config

    @property
    def fit(self) -> Fit:
        """How an image becomes a square unless something else is asked for."""
        return self.image_config.fit

    @property
    def notices(self) -> tuple[str, ...]:
        """What a reader of its numbers should know, one sentence each."""
        identity = self.checkpoint.identity
        return (*identity.notices, *[DEMO_NOTICE] * identity.is_demo)

    @functools.cached_property
    def network(self) -> Network:
        """The network as the programs of `jclip.probes.embed` take it."""
        return split_network(self.checkpoint.clip)

    def embed_images(
        self, images: Any, fit: Fit | None = None, orbit: int = 1
    ) -> Float32[np.ndarray, "n e"]:
        """Embeddings of images, of length 1.

        Args:
            images: PIL images, RGB arrays `[H, W, 3] uint8` and paths in a list, of any sizes; or
                an array `[N, H, W, 3] uint8`.
            fit: how an image becomes a square, `crop`, `squash`, `pad` or, of panoramas, `tiles`,
                and of those that are 2:1 `cube`, `ring:N` or `tangent:N`, whose views are averaged;
                the checkpoint's own by default.
            orbit: of panoramas: the mean of the embeddings at so many equal yaws, scaled to length
                1, which turning by these yaws does not change; 1 takes an image as it is.

        Raises:
            InputError: what is no image is named, as is one that the fit is impossible for, or that
                has fewer columns than the orbit yaws.

        Example:
            >>> model = jclip.load("demo")
            >>> model.embed_images(["photo.jpg", "panorama.jpg"]).shape
            (2, 128)
        """
        return self.embed_files(images_argument(images), fit, orbit)

    def embed_files(
        self, files: Sequence[ImageFile], fit: Fit | None, orbit: int = 1
    ) -> Float32[np.ndarray, "n e"]:
        """`embed_images` of images that are known to be images."""
        fit, orbit = self.settled_fit(fit, files), whole_number("orbit", orbit)
        if fit == "tiles" or sphere_cameras(fit) or orbit > 1:
            mean = self.embed_orbits(files, fit, orbit).mean(axis=1)
            return mean / np.linalg.norm(mean, axis=1, keepdims=True)
        config = self.image_config
        # Fitted when they are decoded, so that all sizes share a program.
        squares = [square_part(file.name, file, file.whole, config, fit) for file in files]
        return embed_all(squares, rounded_plans(squares), self._squares)

    def embed_regions(self, image: Any, boxes: Any) -> Float32[np.ndarray, "r e"]:
        """Embeddings of boxes as regions of one image's map, of length 1.

        The image is embedded once, whole, whatever the number of boxes: by FG-CLIP's way to the
        features of patches, or the network's own, and RoIAlign with one bin. A network that never
        learned such features, as plain CLIP, tells little by them; `embed_images` of the cut-out
        boxes tells more.

        Args:
            image: a PIL image, an RGB array `[H, W, 3] uint8`, or a path.
            boxes: `[x, y, w, h]` in pixels each, x and y of the upper left corner.

        Raises:
            InputError: what is no image or no box inside it is named; or the network's patches have
                no features in the space of texts.

        Example:
            >>> model = jclip.load("demo")
            >>> model.embed_regions("photo.jpg", [[40, 30, 50, 50], [0, 0, 20, 20]]).shape
            (2, 128)
        """
        vision = self.checkpoint.clip.config.vision
        if not vision.has_dense:
            raise InputError(
                f"{self.name}: its patches have no features in the space of texts, so it has no "
                "regions; embed_images embeds boxes that are cut out"
            )
        file = image_argument(image)
        boxes = boxes_argument(boxes, file)
        inputs = picture_regions([file], [boxes], self.image_config, vision.patch_size)
        plans = rounded_plans(inputs.pictures)

        def regions(batch: Batch) -> Array:
            return embed_regions(self.network, batch, inputs, self.image_config)

        return unit_rows(embed_all(inputs.pictures, plans, regions)[0, : len(boxes)])

    def embed_orbits(
        self, files: Sequence[ImageFile], fit: Fit, orbit: int
    ) -> Float32[np.ndarray, "n k e"]:
        """Embeddings of panoramas at `orbit` equal yaws, each of length 1, in one program.

        Raises:
            InputError: a panorama has fewer columns than yaws.
        """
        for width in {file.width for file in files}:
            orbit_shifts(width, orbit)
        plans = rounded_plans(files, orbit)
        return embed_all(files, plans, functools.partial(self._yaws, fit, orbit))

    def _tokenizer_of(self, kind: TextKind) -> Tokenizer | PieceTokenizer:
        description = self.checkpoint.description
        if kind == description.text_kind:
            return self.checkpoint.tokenizer
        return dataclasses.replace(description, text_kind=kind).tokenizer

    def embed_texts(
        self, texts: Sequence[str], kind: TextKind = "short"
    ) -> Float32[np.ndarray, "n e"]:
        """Embeddings of texts, of length 1; warns of texts that were cut or are not what they seem.

        Args:
            texts: a list of them.
            kind: what they are, `short`, `long`, or `box`, about a part of an image; for FG-CLIP,
                which has positions and projections of their own for each.

        Raises:
            InputError: a single text, none, or a blank one; or the model knows one kind only.

        Example:
            >>> model = jclip.load("demo")
            >>> model.embed_texts(["a red ball", "two blue boxes under a clear sky"]).shape
            (2, 128)
        """
        texts = texts_argument(texts, "texts")
        config = self.checkpoint.clip.config.text
        if one_of("kind", kind, TextKind) != "short" and config.long is None:
            raise InputError(f"kind: {kind!r}, but {self.name} knows one kind of texts only")
        tokenizer = self._tokenizer(kind)
        tokens, notices = tokenizer(texts), tokenizer.notices(texts)
        if cut := int(tokens.truncated.sum()):
            context = tokens.ids.shape[1]
            notices.append(
                f"{cut} of {len(texts)} texts are longer than {context} tokens and were cut"
            )
        for notice in notices:
            warnings.warn(notice, stacklevel=2)
        return jax.device_get(embed_texts(self.checkpoint.clip, tokens))

    def probabilities(self, scores: Float[np.ndarray, "*n"]) -> Float32[np.ndarray, "*n"]:
        """That image and text belong together, of scores (100 x cosine) as `jclip.score` has them.

        The sigmoid of the cosine, scaled and shifted as the loss trained it (SigLIP).

        Raises:
            InputError: the model's loss was another.

        Example:
            >>> model = jclip.load("my_siglip")
            >>> scores = jclip.score(model, ["photo.jpg"], ["a red ball on sand"])
            >>> model.probabilities(scores).shape
            (1,)
        """
        sigmoid = sigmoid_of(self.checkpoint.clip)
        if sigmoid is None:
            raise InputError(f"{self.name}: no sigmoid loss trained it, so scores only compare")
        return sigmoid.probabilities(np.asarray(scores, np.float32))

    def settled_fit(self, fit: Fit | None, files: Sequence[ImageFile]) -> Fit:
        """The fit that was asked for, or the checkpoint's own, if every image can have it.

        Raises:
            InputError: there is no such fit, or it is impossible for an image.
        """
        settled = known_fit(self.fit if fit is None else fit)
        for file in files:
            check_fit(file.name, file.height, file.width, self.image_config.size, settled)
        return settled

    def _squares(self, batch: Batch) -> Array:
        pixels = shard_batch(local_mesh(), batch.pixels)
        return normalised(embed_squares(*self.network, pixels, image_config=self.image_config))

    def _yaws(self, fit: Fit, orbit: int, batch: Batch) -> Array:
        config, pixels = self.image_config, shard_batch(local_mesh(), batch.pixels)
        height, width = batch.pixels.shape[1:3]
        (plan,) = self._plans((height, width), orbit_shifts(width, orbit), config, fit)
        return embed_views(*self.network, pixels, plan, image_config=config, fit=fit)


def rounded_plans(files: Sequence[ImageFile], views: int = 1) -> list[BatchPlan]:
    """Batches of few numbers of rows, powers of two per device: each is compiled once.

    Args:
        files: images of any sizes.
        views: of an image that are embedded.
    """
    devices = local_mesh().size
    plans = plan_batches(files, max(1, _IMAGES_AT_ONCE // views) * devices, devices)
    return [
        BatchPlan(plan.indices, devices << (plan.rows // devices - 1).bit_length())
        for plan in plans
    ]
