"""Sets of captioned panoramas: where they come from and what has to hold before they are used."""

import dataclasses
import hashlib
from importlib import resources
from pathlib import Path

from jclip.data.captions import CAPTION_FILES, find_captions, read_captions
from jclip.data.demo_world import open_demo_panoramas
from jclip.data.images import DEFAULT_PIXEL_LIMIT, ImageFile, inspect_images, list_images

__all__ = ["PanoramaSet", "open_panoramas"]

DEMO_PANORAMAS = 96
DEMO_HEIGHT = 128


@dataclasses.dataclass(frozen=True)
class PanoramaSet:
    """Panoramas with a caption each; nothing is decoded yet.

    `notices` are sentences that a person should read: files left alone, ratios other than 2:1, how
    captions were paired. `digest` is a SHA-256 over names, captions and the images' digests.
    """

    name: str
    images: tuple[ImageFile, ...]
    captions: tuple[str, ...]
    caption_file: str
    notices: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Changes when a name, a caption or (as far as `ImageFile.digest` sees) a picture does."""
        pairs = zip(self.images, self.captions, strict=True)
        rows = [f"{image.name}\0{caption}\0{image.digest}" for image, caption in pairs]
        return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def open_panoramas(
    source: str, captions: Path | None = None, pixel_limit: int = DEFAULT_PIXEL_LIMIT
) -> PanoramaSet:
    """Open a set of panoramas; everything about it is checked, nothing is decoded.

    Args:
        source: a folder; `samples`, twelve CC0 photographs that ship with the package; or `demo`,
            scenes of the demo world that no training saw, rendered now.
        captions: a caption file (`read_captions`); by default the one beside the images.
        pixel_limit: of one image, in pixels, checked from the header.

    Raises:
        InputError: see `list_images`, `inspect_images`, `find_captions` and `read_captions`.
    """
    if source == "demo":
        return _demo_panoramas(captions)
    if source == "samples":
        folder = Path(str(resources.files("jclip.data") / "samples"))
    else:
        folder = Path(source)
    paths = list_images(folder)
    caption_file = captions or find_captions(folder)
    texts = read_captions(caption_file, [p.name for p in paths])
    images = inspect_images(paths, pixel_limit)
    notices = [*_left_alone(folder, paths), *_not_two_to_one(images)]
    if caption_file.suffix == ".txt":
        pairs = [f"{images[i].name} = {texts[i]!r}" for i in (0, -1)]
        notices.append(f"captions paired by natural order; first {pairs[0]}, last {pairs[1]}")
    name = source if source == "samples" else folder.resolve().name
    return PanoramaSet(name, tuple(images), tuple(texts), caption_file.name, tuple(notices))


def _demo_panoramas(captions: Path | None) -> PanoramaSet:
    demo = open_demo_panoramas(DEMO_PANORAMAS, DEMO_HEIGHT)
    texts = list(demo.captions) if captions is None else read_captions(captions, demo.names)
    images = tuple(
        ImageFile(
            name, pixels.copy, DEMO_HEIGHT, 2 * DEMO_HEIGHT, hashlib.sha256(pixels).hexdigest()
        )
        for name, pixels in zip(demo.names, demo.pixels, strict=True)
    )
    return PanoramaSet("demo", images, tuple(texts), captions.name if captions else "demo", ())


def _left_alone(folder: Path, images: list[Path]) -> list[str]:
    expected = {p.name for p in images} | {*CAPTION_FILES, "ORIGIN.md", "README.md"}
    others = sorted(
        p.name for p in folder.iterdir() if p.name not in expected and not p.name.startswith(".")
    )
    if not others:
        return []
    return [f"{folder}: {len(others)} entries are not images and were left alone: {others[0]}, ..."]


def _not_two_to_one(images: list[ImageFile]) -> list[str]:
    odd = [i for i in images if i.width != 2 * i.height]
    if not odd:
        return []
    first = f"{odd[0].name} is {odd[0].width} x {odd[0].height}"
    return [f"{len(odd)} of {len(images)} images are not 2:1 as equirectangular ones are: {first}"]
