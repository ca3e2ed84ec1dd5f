"""What is known of a checkpoint, and what every loaded one has, whatever its network is."""

import dataclasses
import functools
from typing import Any, Literal

from jclip.checkpoints.locate import DEMO_FOLDER
from jclip.checkpoints.location import Location
from jclip.checkpoints.names import DEMO
from jclip.models import CLIPConfig
from jclip.models.config import TextKind
from jclip.text.cleaning import TextChoice
from jclip.text.formats import CLIP_TEXTS, TextFormat
from jclip.text.pieces import PieceTokenizer, byte_pieces, load_pieces
from jclip.text.tokenizer import Tokenizer, load_tokenizer

DEMO_NOTICE = "The demo model knows rendered scenes only: its scores of photographs mean nothing."
"""For whoever gives it other images than those of the demo world."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Identity:
    """Which checkpoint this is, for file names and reports.

    `activation` is the one in use, `own_activation` the checkpoint's; where the towers differ, both
    are named, image first. `sha256` of each file with weights, by name, is known once they have
    been read. `random` marks an untrained network, whose numbers mean nothing; the layout
    `supplied` embeddings that another program made. `notices` are what a reader of results should
    know, one sentence each.
    """

    name: str
    source: str
    layout: Literal["open_clip", "transformers", "random", "supplied"]
    activation: str
    own_activation: str
    sha256: dict[str, str] = dataclasses.field(default_factory=dict)
    random: bool = False
    notices: tuple[str, ...] = ()

    @property
    def overridden(self) -> bool:
        """Whether another activation than the checkpoint's own is in use."""
        return self.activation != self.own_activation

    @property
    def is_demo(self) -> bool:
        """Whether this is the small checkpoint that ships with the package, of a rendered world."""
        return self.source == str(DEMO_FOLDER.resolve())


def identify(
    location: Location, config: CLIPConfig, notices: list[str], *, registered: bool = False
) -> Identity:
    """The identity of a checkpoint of files; a folder that is not `registered` gives its name."""
    name, source = location.source, str(location.folder.resolve())
    if location.file is not None:
        name, source = location.file.stem, str(location.file.resolve())
    elif location.repository is not None:
        source = f"{location.repository}@{location.folder.name}"
    elif not registered and name != DEMO:
        name = location.folder.resolve().name
    activation = activation_name(config)
    return Identity(
        name=name,
        source=source,
        layout=location.layout,
        activation=activation,
        own_activation=activation,
        notices=tuple(notices),
    )


def activation_name(config: CLIPConfig) -> str:
    """The activation of both towers, or of each, image first, where they differ."""
    return " and ".join(dict.fromkeys((config.vision.activation, config.text.activation)))


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Description[Config: CLIPConfig, Images]:
    """All of a checkpoint but its weights.

    Attributes:
        config: the network.
        image_config: how images are prepared for it.
        identity: which checkpoint this is.
        location: its files; None for an untrained network.
        text_format: how its texts become token ids.
        text_cleaning: whose cleaning of texts is in use.
        text_kind: what the texts are, for a network that tells kinds apart.
    """

    config: Config
    image_config: Images
    identity: Identity
    location: Location | None
    text_format: TextFormat = CLIP_TEXTS
    text_cleaning: TextChoice = "corrected"
    text_kind: TextKind = "short"

    @functools.cached_property
    def tokenizer(self) -> Tokenizer | PieceTokenizer:
        """The checkpoint's tokenizer, read at first use.

        Raises:
            InputError: there is none, or it does not fit the network.
        """
        if self.location is not None:
            self.location.require(*self.location.absent)
        folder, text = self.location and self.location.folder, self.config.text
        if self.text_format.frame == "clip":
            return load_tokenizer(folder, text, self.text_kind)
        how = text, self.text_format, self.text_cleaning, self.text_kind
        return byte_pieces(*how) if folder is None else load_pieces(folder, *how)

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.summary}"

    @property
    def summary(self) -> str:
        """Name and source, then each tower in a line."""
        identity, image, text = self.identity, self.config.vision, self.config.text
        return "\n".join([
            f"{identity.name} of {identity.source} ({identity.layout}, {identity.activation})",
            f"  image tower: {image.layers} layers, {image.width} wide, {image.heads} heads; "
            f"{image.image_size} pixels in patches of {image.patch_size}",
            f"  text tower: {text.layers} layers, {text.width} wide, {text.heads} heads; "
            f"{text.context_length} of {text.vocabulary_size} tokens",
        ])  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Loaded[Images]:
    """What belongs to every network that is ready to use."""

    description: Description[Any, Images]

    @property
    def image_config(self) -> Images:
        """How images are prepared for the network."""
        return self.description.image_config

    @property
    def identity(self) -> Identity:
        """Which checkpoint this is."""
        return self.description.identity

    @property
    def tokenizer(self) -> Tokenizer | PieceTokenizer:
        """The checkpoint's tokenizer; see `Description.tokenizer`."""
        return self.description.tokenizer

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.description.summary}"
