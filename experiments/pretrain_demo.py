"""Train the demo model: a small CLIP, contrastively, on rendered pairs of images and captions.

    python -m experiments.pretrain_demo --out runs/demo

Writes the checkpoint (transformers layout, float16) to OUT/checkpoint, and metrics to OUT. Run
again after a kill, it goes on where it was. `experiments.evaluate_demo` measures the result. It
takes about 80 minutes on two CPU cores.
"""

import dataclasses
import functools
import shutil
from pathlib import Path
from typing import Annotated

import jax
import jax.numpy as jnp
import optax
import optax.contrib
from flax import nnx

from jclip.checkpoints import Checkpoint, CheckpointDescription, Identity, ImageConfig, save_clip
from jclip.demo.captions import EARLY_STYLE, STYLE, CaptionStyle
from jclip.demo.model import IMAGE_SIZE, demo_config, train_tokenizer
from jclip.demo.pairs import Composition, draw_pairs, pair_batches
from jclip.errors import InputError
from jclip.images import CLIP_MEAN, CLIP_STD, normalise
from jclip.models import CLIP
from jclip.models.unit_norm import normalised
from jclip.runs.command import run_command
from jclip.runs.options import Integers
from jclip.runs.record import Silent
from jclip.runs.run import open_run
from jclip.text.tokenizer import Tokenizer
from jclip.training.loop import init_state, make_train_step, train
from jclip.training.losses import info_nce


@dataclasses.dataclass(frozen=True)
class Options:
    """The recipe."""

    cycles: Integers = (2000, 600)
    """Steps of each cycle of the learning rate; no scene is seen twice. Captions say less of the
    surroundings until the last cycle, so that objects are learned first."""
    learning_rate: float = 3e-3
    """At its highest in each cycle, after the warm-up; then a cosine down to zero."""
    warmup_steps: int = 100
    """Steps of linear warm-up in each cycle."""
    weight_decay: float = 0.05
    """Of the kernels."""
    clip_norm: float = 1.0
    """Longest gradient, over all parameters."""
    panoramas: int = 80
    """Panoramas per batch, half of them cropped and half squashed."""
    photos: int = 80
    """Photos per batch."""
    close_ups: int = 96
    """Photos of a single object per batch."""
    seed: int = 0
    """Of the world, the captions and the initial parameters."""
    log_every: int = 10
    """Steps between rows of metrics.csv."""
    checkpoint_every: int = 100
    """Steps between checkpoints, each measured on validation scenes."""
    out: Annotated[Path, Silent] = Path("runs/pretrain_demo")
    """Folder of results. The same run into it resumes."""


def main(options: Options) -> int:
    """Train, then save; returns the exit status."""
    if options.panoramas % 2 or min(options.panoramas, options.photos, options.close_ups) < 2:
        raise InputError("a batch needs an even number of panoramas, and 2 of each kind at least")
    if not 0 <= options.warmup_steps < min(options.cycles):
        raise InputError(f"{options.warmup_steps} warm-up steps of {min(options.cycles)} steps")
    composition = Composition(options.panoramas, options.photos, options.close_ups)
    with open_run("pretrain_demo", options, out=options.out) as run:
        tokenizer = _tokenizer(options, composition)
        clip, measured = _train(options, composition, tokenizer, run.folder)
        folder = run.folder / "checkpoint"
        _save(folder, clip, tokenizer)
        lines = [f"validation: {measured}", f"checkpoint: {folder}"]
        return run.publish(None, lines, validation=measured)


def _style(options: Options, number: int) -> CaptionStyle:
    """How the captions of a batch are, by its number."""
    return EARLY_STYLE if number < sum(options.cycles[:-1]) else STYLE


def _tokenizer(options: Options, composition: Composition) -> Tokenizer:
    """Trained on the captions of the first batches."""
    texts = []
    for number in range(8):
        style = _style(options, number)
        texts += draw_pairs(options.seed, "train", number, composition, IMAGE_SIZE, style).captions
    backend = train_tokenizer(texts)
    return Tokenizer(backend, demo_config(len(backend)).text)


def _train(
    options: Options, composition: Composition, tokenizer: Tokenizer, folder: Path
) -> tuple[CLIP, dict[str, float]]:
    """The trained network, and its loss and accuracy on a batch of validation scenes."""
    clip = CLIP(demo_config(len(tokenizer.backend)), rngs=nnx.Rngs(options.seed))
    optimizer = _optimizer(options)
    graph, state, frozen = init_state(clip, optimizer, jax.random.key(options.seed))

    def loss(trainable, frozen, batch, key):
        clip = nnx.merge(graph, trainable, frozen)
        pixels = normalise(jnp.asarray(batch["images"]), CLIP_MEAN, CLIP_STD)
        images = normalised(clip.encode_image(pixels))
        texts = normalised(clip.encode_text(batch["token_ids"]))
        accuracy = (jnp.argmax(images @ texts.T, axis=1) == jnp.arange(len(images))).mean()
        # CLIP's own bound: a factor of 100 at most.
        scale = jnp.minimum(clip.logit_scale[...], jnp.log(100.0))
        return info_nce(images, texts, scale), {"accuracy": accuracy, "scale": jnp.exp(scale)}

    held_out = next(pair_batches(options.seed, "validation", 1, composition, IMAGE_SIZE, tokenizer))
    measure = jax.jit(lambda trainable, frozen: loss(trainable, frozen, held_out, None))

    def validate(trainable, frozen):
        value, metrics = jax.device_get(measure(trainable, frozen))
        return {"loss": float(value), "accuracy": float(metrics["accuracy"])}

    steps, style = sum(options.cycles), functools.partial(_style, options)
    state = train(
        make_train_step(loss, optimizer, options.clip_norm),
        state,
        frozen,
        pair_batches(options.seed, "train", steps, composition, IMAGE_SIZE, tokenizer, style),
        folder,
        steps=steps,
        log_every=options.log_every,
        checkpoint_every=options.checkpoint_every,
        validate=validate,
    )
    return nnx.merge(graph, state.trainable, frozen), validate(state.trainable, frozen)


def _optimizer(options: Options) -> optax.GradientTransformation:
    cycle = {"peak_value": options.learning_rate, "warmup_steps": options.warmup_steps}
    schedule = optax.sgdr_schedule(
        [{"init_value": 0.0, "decay_steps": steps, **cycle} for steps in options.cycles]
    )

    def dimensions(parameters):
        # The kernels of the blocks, stacked over layers, are the ones with three axes.
        return jax.tree.map(
            lambda p: optax.contrib.MuonDimensionNumbers(1, 2) if p.ndim == 3 else None, parameters
        )

    # Muon needs less than half of AdamW's steps here; everything but the kernels is left to Adam.
    return optax.contrib.muon(
        schedule,
        weight_decay=options.weight_decay,
        adam_b2=0.98,
        consistent_rms=0.2,
        muon_weight_dimension_numbers=dimensions,
    )


def _save(folder: Path, clip: CLIP, tokenizer: Tokenizer) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    own = clip.config.vision.activation
    identity = Identity(
        name="demo", source=str(folder), layout="transformers", activation=own, own_activation=own
    )
    images = ImageConfig(size=IMAGE_SIZE)
    description = CheckpointDescription(
        config=clip.config, image_config=images, identity=identity, location=None
    )
    save_clip(folder, Checkpoint(clip=clip, description=description), dtype="float16")
    tokenizer.backend.save_pretrained(folder)


if __name__ == "__main__":
    run_command(Options, main, __doc__)
