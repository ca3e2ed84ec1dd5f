"""Does the demo model show both papers' findings? Measures it on scenes that no training saw.

    python -m experiments.evaluate_demo --model runs/pretrain_demo/checkpoint

Prints the measurements as JSON, in about three minutes on two CPU cores. With --card FILE they go
into the model card that ships with the checkpoint.
"""

import dataclasses
import functools
import json
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from PIL import Image

from jclip.checkpoints import Checkpoint, ImageConfig, load_checkpoint
from jclip.demo import write_fine_grained_sets
from jclip.demo.captions import PANORAMA_WORDS, PHOTO_WORDS
from jclip.demo.model_card import write_model_card
from jclip.demo.pairs import Composition, draw_pairs
from jclip.images import Fit, plan_views, preprocess
from jclip.images.boxes import crop_box, fit_square
from jclip.models.unit_norm import normalised
from jclip.probes.embeddings import embed_texts
from jclip.probes.retrieval import right_caption_share
from jclip.probes.shift import score_shifts
from jclip.runs.command import DONE, run_command
from jclip.statistics.calibration import flip_bound
from jclip.statistics.paired import wilcoxon_signed_rank
from jclip.statistics.ranks import positive_ranks
from jclip.text.prompts import GENERICS, IDENTIFIERS

FITS: tuple[Fit, ...] = ("crop", "squash", "tiles")
SCENES = Composition(panoramas=1024, photos=1024, close_ups=0)


@dataclasses.dataclass(frozen=True)
class Options:
    """What is measured."""

    model: str
    """A checkpoint trained on the demo world."""
    seed: int = 0
    """Of the world; the test split's scenes are none of the training's."""
    boxes: int = 600
    """Photos from which boxes for the fine-grained sets are taken."""
    card: Path | None = None
    """Model card to write."""


def main(options: Options) -> int:
    """Measure, print, and write the card."""
    checkpoint = load_checkpoint(options.model)
    print("rendering test scenes ...", flush=True)
    size = checkpoint.image_config.size
    pairs = draw_pairs(options.seed, "test", 0, SCENES, size)
    count = SCENES.panoramas
    captions = {"panoramas": pairs.captions[:count], "photos": pairs.captions[count:]}
    seen = {
        "panoramas, squash": _embed_images(checkpoint, pairs.panoramas, "squash"),
        "panoramas, crop": _embed_images(checkpoint, pairs.panoramas, "crop"),
        "photos": _embed_images(checkpoint, pairs.photos, "crop"),
    }
    measured = {
        "right caption": _right_captions(checkpoint, seen, captions),
        "textual semantics": _textual(checkpoint, seen, captions),
        "visual semantics": _visual(checkpoint, pairs.panoramas, captions["panoramas"]),
        "fine-grained": _fine_grained(checkpoint, options),
    }
    print(json.dumps(measured, indent=2))
    if options.card:
        write_model_card(options.card, measured)
    return DONE


@functools.partial(jax.jit, static_argnames=("graph", "config", "fit"))
def _encode(graph: nnx.GraphDef, state: nnx.State, images, config: ImageConfig, fit: Fit):
    pixels = preprocess(images, config.size, fit, config.mean, config.std, config.interpolation)
    return normalised(nnx.merge(graph, state).encode_image(pixels))


def _embed_images(checkpoint: Checkpoint, images, fit: Fit):
    """Normalised embeddings `[N, E]` of images `[N, H, W, 3] uint8`."""
    graph, state = nnx.split(checkpoint.clip)
    batches = [jnp.asarray(images[i : i + 128]) for i in range(0, len(images), 128)]
    return jnp.concatenate(
        [_encode(graph, state, batch, checkpoint.image_config, fit) for batch in batches]
    )


def _embed_texts(checkpoint: Checkpoint, texts):
    return embed_texts(checkpoint.clip, checkpoint.tokenizer(texts))


def _distinct(captions) -> np.ndarray:
    """Rows of the first image of every caption: of two equal captions neither would be wrong."""
    return np.sort(np.unique(captions, return_index=True)[1])


def _right_captions(checkpoint: Checkpoint, seen, captions) -> dict[str, float]:
    """Share of images whose own caption is first, per kind of image."""
    found = {}
    for kind, images in seen.items():
        own = captions[kind.split(",")[0]]
        rows = _distinct(own)
        texts = _embed_texts(checkpoint, [own[row] for row in rows])
        for among in (16, 256):
            found[f"{kind}, among {among}"] = right_caption_share(images[rows], texts, among)
    return found


def _textual(checkpoint: Checkpoint, seen, captions) -> dict[str, dict[str, float]]:
    """Identifier against generic words before the same content, paired by image."""
    found = {}
    for kind, images, sign in (
        ("panoramas", seen["panoramas, crop"], 1),
        ("photos", seen["photos"], -1),
    ):
        content = [_content(caption) for caption in captions[kind]]
        scores = [
            100
            * jnp.sum(images * _embed_texts(checkpoint, [f"{words} {c}" for c in content]), axis=1)
            for words in (IDENTIFIERS[0], GENERICS[0])
        ]
        difference = sign * np.asarray(scores[0] - scores[1], np.float64)
        _, p = wilcoxon_signed_rank(difference[:, None], "greater")
        found[kind] = {"median difference": float(np.median(difference)), "p": float(p[0])}
    return found


def _content(caption: str) -> str:
    """A caption without its opening and its format word."""
    caption = caption.removeprefix("this is ")
    words = sorted((*PANORAMA_WORDS, *PHOTO_WORDS), key=len, reverse=True)
    return next((caption.removeprefix(w).strip() for w in words if caption.startswith(w)), caption)


def _visual(checkpoint: Checkpoint, panoramas, captions) -> dict[str, dict[str, float]]:
    """Median |d| at every eighth of a turn beside the flip bound, under each fit."""
    graph, state = nnx.split(checkpoint.clip)
    config = checkpoint.image_config
    height, width = panoramas.shape[1:3]
    texts = _embed_texts(checkpoint, captions)
    shifts = [k * width // 8 for k in range(8)]
    found = {}
    for fit in FITS:
        plan = plan_views(height, width, shifts, config.size, fit, config.interpolation)
        alone = plan_views(height, width, (0,), config.size, fit, config.interpolation)
        parts = []
        for start in range(0, len(panoramas), 64):
            rows = slice(start, start + 64)
            parts.append(
                score_shifts(
                    graph,
                    state,
                    jnp.asarray(panoramas[rows]),
                    plan,
                    texts[rows],
                    alone,
                    image_config=config,
                    fit=fit,
                )
            )
        scores, flipped = (np.concatenate(x) for x in zip(*jax.device_get(parts), strict=True))
        change = np.median(np.abs(scores[:, 1:] - scores[:, :1]), axis=0)
        bound = flip_bound(scores[:, 0], flipped)
        found[fit] = {f"{45 * k} degrees": float(c) for k, c in enumerate(change, start=1)}
        found[fit] |= {"flip bound": bound, "half a turn / flip bound": float(change[3]) / bound}
    return found


def _fine_grained(checkpoint: Checkpoint, options: Options) -> dict[str, dict[str, float]]:
    """Mean rank of the right caption of a box per set; ties count against it, as in paper 2."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        write_fine_grained_sets(Path(folder), options.seed, options.boxes)
        sets = {p.stem: json.loads(p.read_text()) for p in sorted(Path(folder).glob("*.json"))}
        # All sets are about the same boxes, so that these are cut out and embedded once.
        any_set = next(iter(sets.values()))
        files = {image["id"]: Path(folder) / image["file_name"] for image in any_set["images"]}
        boxes = any_set["annotations"]
        crops = np.stack([_crop(checkpoint, files[b["image_id"]], b["bbox"]) for b in boxes])
        seen = _embed_images(checkpoint, crops, "squash")
        for name, content in sets.items():
            names = {c["id"]: c["name"] for c in content["categories"]}
            boxes = content["annotations"]
            captions = [
                [names[i] for i in (b["category_id"], *b["neg_category_ids"])] for b in boxes
            ]
            texts = _embed_texts(checkpoint, [c for listed in captions for c in listed])
            texts = texts.reshape(len(boxes), -1, texts.shape[-1])
            scores = np.asarray(jnp.einsum("nd,nkd->nk", seen, texts, precision="highest"))
            ranks = positive_ranks(scores, "reference")[:, -1]
            found[name] = {
                "mean rank": float(ranks.mean()),
                "captions": scores.shape[1],
                "chance": (scores.shape[1] + 1) / 2,
                "boxes": len(boxes),
            }
    return found


def _crop(checkpoint: Checkpoint, file: Path, box) -> np.ndarray:
    """The box's pixels through the fit `crop`, `[size, size, 3] uint8`.

    On the host, since every box has a size of its own and the device would compile for each.
    """
    with Image.open(file) as image:
        cut = image.crop(crop_box(box, 1.0, image.width, image.height))
    return fit_square(np.asarray(cut), checkpoint.image_config.size)


if __name__ == "__main__":
    run_command(Options, main, __doc__)
