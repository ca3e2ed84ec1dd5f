"""Captions of the demo world, as loose as captions of the web are.

A caption names ground, sky, backdrop and objects, of a panorama rather those in its middle, often
with their colour but seldom with material, pattern or transparency: a model trained on them knows
scenes well and details badly, which is what the fine-grained probe is about. How often each is
named is a `CaptionStyle`.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from jclip.demo.scenes import Camera, Scene
from jclip.demo.vocabulary import ATTRIBUTES, BACKDROPS, CLASSES, GROUNDS, SKIES

PANORAMA_WORDS = (
    "a 360 degree view of",
    "a 360 photo of",
    "360 photo of",
    "a 360 panorama of",
    "a 360 degree panorama of",
    "a panorama of",
)
PHOTO_WORDS = ("a photo of", "an image of", "a picture of", "a view of", "a photograph of")


@dataclasses.dataclass(frozen=True)
class CaptionStyle:
    """How often captions name what.

    `in_front` is for objects in a photo or in the half of a panorama around its middle, `behind`
    for those in the other half; `surroundings` for ground, sky and backdrop each.
    """

    attributes: Mapping[str, float]
    in_front: float
    behind: float
    surroundings: float

    def spoken(self, rng: np.random.Generator) -> list[str]:
        """Draws the attributes that one object's caption names."""
        return [name for name in ATTRIBUTES if rng.random() < self.attributes[name]]


_SELDOM = {"transparency": 0.15, "pattern": 0.15, "material": 0.1}

STYLE = CaptionStyle({"colour": 0.75, **_SELDOM}, in_front=0.95, behind=0.3, surroundings=0.8)
"""The world's captions."""
EARLY_STYLE = CaptionStyle({"colour": 0.5, **_SELDOM}, in_front=0.95, behind=0.95, surroundings=0.6)
"""Captions that say less of the surroundings, so that a model learns the objects first."""

# A photo's caption may name an object if the photo shows at least this share of it.
VISIBLE_ENOUGH = 0.35

_MOST_NAMED = 4
_CLEARLY_IN_FRAME = 6.0  # degrees from the horizon to a photo's upper or lower border

_COUNTS = ("", "", "two", "three", "four", "five")
# What a sky is called, and what its light is.
_SKY_WORDS = {
    "clear": ("a clear sky", "on a clear day"),
    "cloudy": ("a cloudy sky", "on a cloudy day"),
    "sunset": ("a sunset sky", "at sunset"),
    "night": ("a starry night sky", "at night"),
    "overcast": ("an overcast sky", "on an overcast day"),
}
_GROUND_NOUNS = {
    "grass": "a grassy field",
    "sand": "a sandy desert",
    "snow": "a snowy field",
    "water": "a lake",
    "tiles": "a tiled floor",
}


class ObjectWords(NamedTuple):
    """An object in words, each out of its list in `jclip.demo.vocabulary`."""

    shape: str
    transparency: str
    colour: str
    pattern: str
    material: str


def object_words(scene: Scene, place: int | np.integer) -> ObjectWords:
    """The words of the object at a place of one scene."""
    chosen = {name: words[int(getattr(scene, name)[place])] for name, words in ATTRIBUTES.items()}
    return ObjectWords(shape=CLASSES[int(scene.shape[place])], **chosen)


def _noun(words: ObjectWords, attributes: Iterable[str]) -> str:
    kept = set(attributes)
    if unknown := kept - set(ATTRIBUTES):
        raise ValueError(f"unknown attributes {sorted(unknown)}; there are {list(ATTRIBUTES)}")
    return " ".join([getattr(words, name) for name in ATTRIBUTES if name in kept] + [words.shape])


def _with_article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _listed(phrases: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(phrases[:-1]), phrases[-1]]))


def describe_object(words: ObjectWords, attributes: Iterable[str] = tuple(ATTRIBUTES)) -> str:
    """A sentence that names the object and some of its attributes.

    With `("colour", "pattern", "material")`: "A red striped metal cube." All four are named by
    default, also where they are plain or opaque, so that captions differ only in what they say.

    Raises:
        ValueError: An attribute is unknown.
    """
    phrase = name_object(words, attributes)
    return f"{phrase[0].upper()}{phrase[1:]}."


def name_object(words: ObjectWords, attributes: Iterable[str]) -> str:
    """The object with some of its attributes and an article: "a red striped cube".

    Raises:
        ValueError: An attribute is unknown.
    """
    return _with_article(_noun(words, attributes))


def describe(
    scene: Scene,
    rng: np.random.Generator,
    view: Literal["panorama", "photo", "none"] = "panorama",
    *,
    camera: Camera | None = None,
    visible: Float[np.ndarray, "objects"] | None = None,
    style: CaptionStyle = STYLE,
) -> str:
    """A caption of one scene (of NumPy arrays, as by `jax.device_get`).

    The view `panorama` begins with a 360-degree format word, `photo` with a photo word, `none` with
    neither. With a photo's camera and each object's visible fraction, as `object_boxes` gives it, a
    caption names only what the photo shows. The same state of `rng` gives the same caption.

    Raises:
        ValueError: `view` is unknown, a photo has no camera, a panorama has one, `camera` and
            `visible` do not come together, or an attribute is unknown or missing.
    """
    if view not in ("panorama", "photo", "none"):
        raise ValueError(f"unknown view '{view}'")
    if (camera is None) != (visible is None):
        raise ValueError("camera and visible go together")
    if (view == "photo" and camera is None) or (view == "panorama" and camera is not None):
        raise ValueError("a photo needs a camera and a panorama has none")
    if set(style.attributes) != set(ATTRIBUTES):
        raise ValueError(f"a style's attributes are exactly {list(ATTRIBUTES)}")
    objects = _object_phrases(scene, rng, camera, visible, style)
    content = _content(scene, rng, objects, camera, style)
    words = {"panorama": PANORAMA_WORDS, "photo": PHOTO_WORDS, "none": ("",)}[view]
    return f"{words[rng.integers(len(words))]} {content}".strip()


def _object_phrases(scene, rng, camera, visible, style: CaptionStyle) -> list[str]:
    """Named objects, from left to right or in any order; equal ones are counted together."""
    shown = np.asarray(scene.present) if visible is None else np.asarray(visible) >= VISIBLE_ENOUGH
    places = np.flatnonzero(shown)
    if not len(places):
        return []
    middle = 0.0 if camera is None else np.deg2rad(float(camera.yaw))
    turn = np.mod(np.asarray(scene.yaw) + float(scene.heading) - middle + np.pi, 2 * np.pi) - np.pi
    in_front = (np.abs(turn[places]) < np.pi / 2) | (camera is not None)
    often = np.where(in_front, style.in_front, style.behind)
    named = places[rng.random(len(places)) < often]
    named = named if len(named) else places[:1]
    named = np.sort(rng.permutation(named)[:_MOST_NAMED])
    left_to_right = named[np.argsort(turn[named])]
    ordered = left_to_right if rng.random() < 0.5 else rng.permutation(named)
    nouns = [_noun(object_words(scene, place), style.spoken(rng)) for place in ordered]
    return [
        _with_article(noun) if count == 1 else f"{_COUNTS[count]} {noun}s"
        for noun, count in Counter(nouns).items()
    ]


def _content(scene, rng, objects: list[str], camera: Camera | None, style: CaptionStyle) -> str:
    """What the caption says after its format word; it always says something."""
    ground, backdrop = GROUNDS[int(scene.ground)], BACKDROPS[int(scene.backdrop)]
    sky, phrase = _SKY_WORDS[SKIES[int(scene.sky)]]
    sees_sky, sees_ground = _sees(camera)
    says_sky, says_ground, says_backdrop = (rng.random(3) < style.surroundings).tolist()
    says_sky, says_ground = says_sky and sees_sky, says_ground and sees_ground
    says_backdrop = says_backdrop and backdrop != "open" and sees_sky and sees_ground
    light = f"under {sky}" if rng.random() < 0.5 else phrase
    place_first = rng.random() < 0.4
    distance = f"{backdrop} in the distance"
    if objects and not (place_first and says_ground):
        parts = [_listed(objects)]
        parts += [f"on {ground}"] * says_ground + [light] * says_sky
        return " ".join(parts + [f"with {distance}"] * says_backdrop)
    subject = _GROUND_NOUNS[ground] if sees_ground else sky
    things = objects + [distance] * says_backdrop
    parts = [subject] + [light] * (says_sky and sees_ground)
    return " ".join(parts + ([f"with {_listed(things)}"] if things else []))


def _sees(camera: Camera | None) -> tuple[bool, bool]:
    """Whether a view clearly shows the sky, and the ground."""
    if camera is None:
        return True, True
    half, pitch = float(camera.field_of_view) / 2, float(camera.pitch)
    return pitch + half > _CLEARLY_IN_FRAME, pitch - half < -_CLEARLY_IN_FRAME
