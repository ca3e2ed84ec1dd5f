"""Endless pairs of images and captions for pre-training, rendered as they are needed."""

import dataclasses
import functools
from collections.abc import Callable
from typing import NamedTuple

import grain
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, UInt8

from jclip.demo.captions import (
    STYLE,
    VISIBLE_ENOUGH,
    CaptionStyle,
    describe,
    describe_object,
    object_words,
)
from jclip.demo.rendering import draw_many, object_boxes, render_panorama, render_photo
from jclip.demo.scenes import (
    EYE_HEIGHT,
    SPLITS,
    Camera,
    Scene,
    sample_camera,
    sample_scene,
    scene_key,
)
from jclip.images import Fit, plan_views, shift_views
from jclip.text.tokenizer import Tokenizer


@dataclasses.dataclass(frozen=True)
class Composition:
    """How many pairs of each kind make a batch.

    Half of the panoramas are seen through the fit `crop`, half through `squash`. Close-ups are
    photos of one object; half of their captions are about nothing else.
    """

    panoramas: int = 80
    photos: int = 80
    close_ups: int = 96

    @property
    def size(self) -> int:
        """Pairs in a batch."""
        return self.panoramas + self.photos + self.close_ups


class Pairs(NamedTuple):
    """Panoramas `[P, size, 2 size, 3]`, photos `[Q, size, size, 3]`, both uint8, P + Q captions.

    Close-ups are the last of the photos.
    """

    panoramas: UInt8[np.ndarray, "p height width 3"]
    photos: UInt8[np.ndarray, "q height height 3"]
    captions: list[str]


def close_up(key, scene: Scene) -> tuple[Camera, Array]:
    """A camera on one object, and that object's place."""
    chosen, sideways, upwards, opening = jax.random.uniform(key, (4,))
    place = jnp.floor(chosen * jnp.sum(scene.present)).astype(jnp.int32)
    yaw = jnp.rad2deg(scene.yaw[place] + scene.heading) + 6 * (2 * sideways - 1)
    height = 0.9 * scene.size[place] - EYE_HEIGHT
    pitch = jnp.rad2deg(jnp.arctan2(height, scene.distance[place])) + 5 * (2 * upwards - 1)
    return Camera(jnp.mod(yaw + 180, 360) - 180, pitch, 32 + 20 * opening), place


@functools.partial(jax.jit, static_argnames=("seed", "split", "composition", "size"))
def _draw(seed: int, split: str, first: Int[Array, ""], composition: Composition, size: int):
    keys = jax.vmap(lambda i: scene_key(seed, split, first + i))(jnp.arange(composition.size))
    scenes = jax.vmap(sample_scene)(keys)
    own = jax.vmap(lambda key: jax.random.fold_in(key, 1))(keys)
    panoramic, shot = composition.panoramas, composition.panoramas + composition.photos

    def part(tree, start, stop):
        return jax.tree.map(lambda x: x[start:stop], tree)

    cameras = jax.vmap(sample_camera)(own[panoramic:shot], part(scenes, panoramic, shot))
    close, places = jax.vmap(close_up)(own[shot:], part(scenes, shot, None))
    cameras = jax.tree.map(lambda *x: jnp.concatenate(x), cameras, close)
    photographed = part(scenes, panoramic, None), cameras
    panoramas = draw_many(lambda s: render_panorama(s, size), part(scenes, 0, panoramic))
    photos = draw_many(lambda s, camera: render_photo(s, camera, size), *photographed)
    visible = draw_many(lambda s, camera: object_boxes(s, camera, size)[1], *photographed)
    return scenes, cameras, places, visible, panoramas, photos


def draw_pairs(
    seed: int,
    split: str,
    number: int,
    composition: Composition,
    size: int,
    style: CaptionStyle = STYLE,
) -> Pairs:
    """Batch `number` of a split, photos `size` pixels wide and panoramas twice that.

    The same arguments give the same batch; no two batches of a composition share a scene.
    """
    first = np.int32(number * composition.size)
    drawn = jax.device_get(_draw(seed, split, first, composition, size))
    scenes, cameras, places, visible, panoramas, photos = drawn
    rng = np.random.default_rng([seed, SPLITS.index(split), number])
    captions = []
    for index in range(composition.size):
        scene = jax.tree.map(lambda x, i=index: x[i], scenes)
        shot = index - composition.panoramas
        if shot < 0:
            captions.append(_caption(rng, scene, "panorama", style=style))
            continue
        camera, seen = Camera(*(c[shot] for c in cameras)), visible[shot]
        alone = shot - composition.photos
        if alone >= 0 and seen[places[alone]] >= VISIBLE_ENOUGH:
            if rng.random() < 0.5:
                words = object_words(scene, places[alone])
                captions.append(describe_object(words, style.spoken(rng)))
                continue
            seen = np.where(np.arange(len(seen)) == places[alone], seen, 0.0)
        captions.append(_caption(rng, scene, "photo", camera=camera, visible=seen, style=style))
    return Pairs(panoramas, photos, captions)


def _caption(rng: np.random.Generator, scene: Scene, view, **how) -> str:
    """A caption as `describe` gives it; one in five has no format word, one in four "this is"."""
    view = view if rng.random() < 0.8 else "none"
    opening = "this is " if rng.random() < 0.25 else ""
    return opening + describe(scene, rng, view, **how)


@functools.partial(jax.jit, static_argnames="size")
def _fitted(panoramas, photos, size: int):
    """Every image as the network sees it: half of the panoramas cropped, half squashed."""

    def see(some, fit: Fit):
        plan = plan_views(some.shape[1], some.shape[2], (0,), size, fit)
        return shift_views(some, plan, size, fit)[:, 0, 0]

    half = len(panoramas) // 2
    return jnp.concatenate([see(panoramas[:half], "crop"), see(panoramas[half:], "squash"), photos])


def pair_batches(
    seed: int,
    split: str,
    batches: int,
    composition: Composition,
    size: int,
    tokenizer: Tokenizer,
    style: Callable[[int], CaptionStyle] = lambda number: STYLE,
) -> grain.DatasetIterator:
    """Yields `{"images": [N, size, size, 3] uint8, "token_ids": [N, L] int32}`.

    `style` says how the captions of a batch are, by its number. The iterator's state is a position,
    so training resumes exactly.
    """

    def make(number: int) -> dict[str, np.ndarray]:
        pairs = draw_pairs(seed, split, number, composition, size, style(number))
        images = _fitted(pairs.panoramas, pairs.photos, size)
        return {"images": np.asarray(images), "token_ids": tokenizer(pairs.captions).ids}

    options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=2)
    return iter(grain.MapDataset.range(batches).map(make).to_iter_dataset(options))
