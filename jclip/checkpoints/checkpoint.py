"""Checkpoints: a network with all that belongs to it."""

import dataclasses
import difflib
import functools
import os
from typing import get_args

import jax.numpy as jnp
from flax import nnx

from jclip.checkpoints.architectures import ARCHITECTURES, text_format_of
from jclip.checkpoints.description import Description, Identity, Loaded, activation_name, identify
from jclip.checkpoints.layouts import describe_files, rules_for, tower_size
from jclip.checkpoints.locate import locate
from jclip.checkpoints.location import CONFIG_FILES, Location
from jclip.checkpoints.network import check_network, random_clip, read_network
from jclip.checkpoints.peft import check_adapter
from jclip.checkpoints.preprocessing import ImageConfig
from jclip.checkpoints.registry import REGISTRY, RegisteredCheckpoint
from jclip.errors import InputError
from jclip.images import Fit
from jclip.models import ARCHITECTURES as CLIP_ARCHITECTURES
from jclip.models import CLIP, CLIPConfig
from jclip.models.config import Activation, TextKind
from jclip.text.cleaning import TextChoice

RANDOM = "random:"
_UNTRAINED = "The network is untrained (seeded random weights): its numbers mean nothing."


class CheckpointDescription(Description[CLIPConfig, ImageConfig]):
    """All of a CLIP checkpoint but its weights."""


@dataclasses.dataclass(frozen=True, kw_only=True, repr=False)
class Checkpoint(Loaded[ImageConfig]):
    """A network ready to use: its parameters are on the default device."""

    clip: CLIP
    description: CheckpointDescription


def describe_checkpoint(
    source: str | os.PathLike[str],
    *,
    activation: Activation | None = None,
    text_cleaning: TextChoice = "corrected",
    text_kind: TextKind = "short",
    allow_pickle: bool = False,
    architecture: str | None = None,
) -> CheckpointDescription:
    """Find a checkpoint and check its configuration; quick, as no weights are read or downloaded.

    Args:
        source: a name of the registry (`ViT-B-32/laion400m_e32`), `demo`, `random:` and an
            architecture (`random:ViT-B-32`), a folder, a file of weights, or a hub id.
        activation: used in both towers instead of the checkpoint's own.
        text_cleaning: as in training (`corrected`), or as the library that the files are for does
            it; they differ for SigLIP (`jclip.text.formats`).
        text_kind: what texts are, `short`, `box` or `long`; FG-CLIP has positions and projections
            of their own for each.
        allow_pickle: whether weights may come from `.bin` or `.pt` files.
        architecture: of a file of weights without a configuration beside it, such as `ViT-B-32`, or
            `ViT-B-32-quickgelu` where it was trained with that activation.

    Raises:
        InputError: there is no such checkpoint, or it describes what is not supported.
    """
    source = os.fspath(source)
    if activation is not None and activation not in get_args(Activation):
        known = ", ".join(get_args(Activation))
        raise InputError(f"activation: {activation!r:.60} is none of {known}")
    if source.startswith(RANDOM):
        description = _describe_random(source)
    else:
        location = locate(source, allow_pickle=allow_pickle, architecture=architecture)
        description = _describe_files(location)
    try:
        description.config.text.context_of(text_kind)
    except ValueError as error:
        raise InputError(f"{description.identity.name}: {error}", argument="text_kind") from None
    texts = {"text_cleaning": text_cleaning, "text_kind": text_kind}
    description = dataclasses.replace(description, **texts)
    if activation is None:
        return description
    config = description.config.with_activation(activation)
    identity = dataclasses.replace(description.identity, activation=activation_name(config))
    if identity.overridden:
        notice = (
            f"Runs with {identity.activation} although its weights were trained with "
            f"{identity.own_activation}."
        )
        identity = dataclasses.replace(identity, notices=(*identity.notices, notice))
    return dataclasses.replace(description, config=config, identity=identity)


def load_checkpoint(
    source: str | os.PathLike[str] | CheckpointDescription,
    *,
    activation: Activation | None = None,
    dtype=jnp.float32,
    allow_pickle: bool = False,
    architecture: str | None = None,
) -> Checkpoint:
    """Load a checkpoint.

    Args:
        source: what `describe_checkpoint` takes, or what it returned (the activation is then
            settled, and the other arguments but `dtype` are not looked at).
        activation: see `describe_checkpoint`.
        dtype: of the dense kernels; all other parameters are float32.
        allow_pickle: see `describe_checkpoint`.
        architecture: see `describe_checkpoint`.

    Raises:
        InputError: there is no such checkpoint, it describes what is not supported, or its weights
            are not those of the network it describes (every such tensor is named).
    """
    if not isinstance(source, CheckpointDescription):
        source = describe_checkpoint(
            source, activation=activation, allow_pickle=allow_pickle, architecture=architecture
        )
    if source.location is None:
        return Checkpoint(clip=random_clip(source.config, dtype), description=source)
    clip, identity = read_network(
        lambda: CLIP(source.config, dtype=dtype, rngs=nnx.Rngs(0)),
        functools.partial(rules_for, source.location, source.config),
        source.location,
        source.identity,
    )
    return Checkpoint(clip=clip, description=dataclasses.replace(source, identity=identity))


def check_weights(
    description: CheckpointDescription, adapter: str | os.PathLike[str] | None = None
) -> None:
    """Compare what is in the files of weights here, and of an adapter, with what is described.

    Raises:
        InputError: names or shapes of tensors are not those of the network.
    """
    clip = nnx.eval_shape(lambda: CLIP(description.config, rngs=nnx.Rngs(0)))
    if description.location is not None:
        rules = functools.partial(rules_for, description.location, description.config)
        check_network(clip, rules, description.location)
    if adapter is not None:
        check_adapter(clip, adapter)


def load_clip(source: str | os.PathLike[str]) -> CLIP:
    """The network of a checkpoint, in float32: `load_checkpoint(source).clip`."""
    return load_checkpoint(source).clip


def _architecture(source: str, name: str) -> CLIPConfig:
    """An architecture by its name, or by open_clip's for the one with the other activation."""
    config = ARCHITECTURES.get(name.removesuffix("-quickgelu"))
    if config is None:
        close = difflib.get_close_matches(name, ARCHITECTURES, n=4, cutoff=0.8)
        known = ", ".join(close or CLIP_ARCHITECTURES)
        raise InputError(f"{source}: {name!r:.60} is no known architecture; known: {known}, ...")
    return config.with_activation("quick_gelu") if name.endswith("-quickgelu") else config


def _describe_random(source: str) -> CheckpointDescription:
    name = source.removeprefix(RANDOM)
    config = _architecture(source, name)
    activation = activation_name(config)
    trained = [entry for entry in REGISTRY.values() if entry.architecture == name]
    fit: Fit = "native" if config.vision.flexible else "crop"
    image_config = ImageConfig(size=tower_size(config), fit=fit)
    return CheckpointDescription(
        config=config,
        image_config=trained[0].image_config if trained else image_config,
        identity=Identity(
            name=source,
            source=source,
            layout="random",
            activation=activation,
            own_activation=activation,
            random=True,
            notices=(_UNTRAINED,),
        ),
        location=None,
        text_format=text_format_of(name),
    )


def _describe_files(location: Location) -> CheckpointDescription:
    notices = list(location.notices)
    if location.architecture is not None:
        config = _architecture(location.source, location.architecture)
        image_config, text_format = None, text_format_of(location.architecture)
        notices.append(
            f"{location.source} does not say which activation it was trained with: "
            f"{activation_name(config)} is taken, as its architecture is {location.architecture}."
        )
    else:
        config, image_config, text_format = describe_files(location)
    if image_config is None:
        fit: Fit = "native" if config.vision.flexible else "crop"
        image_config = ImageConfig(size=tower_size(config), fit=fit)
        notices.append(
            f"{location.folder} does not say how images are prepared: CLIP's way is taken."
        )
    entry = REGISTRY.get(location.source)
    if entry is not None:
        config = _at_size(config, entry.config.vision.image_size)
        notices = _contradictions(entry, config, image_config, location)
        # How the reference library runs a named checkpoint is what its results are compared with.
        config = entry.with_activation(config)
        image_config = entry.image_config
    identity = identify(location, config, notices, registered=entry is not None)
    return CheckpointDescription(
        config=config,
        image_config=image_config,
        identity=identity,
        location=location,
        text_format=text_format,
    )


def _at_size(config: CLIPConfig, size: int) -> CLIPConfig:
    """The network for images of another size, where that makes as many patches of them."""
    if config.vision.image_size // config.vision.patch_size != size // config.vision.patch_size:
        return config
    return dataclasses.replace(config, vision=dataclasses.replace(config.vision, image_size=size))


def _contradictions(
    entry: RegisteredCheckpoint, config: CLIPConfig, image_config: ImageConfig, location: Location
) -> list[str]:
    """Where the files of a registered checkpoint say something else than the registry.

    Raises:
        InputError: the files describe another network.
    """
    # How texts end is a matter of the layout, and comes to the same for CLIP's vocabulary.
    end = config.text.end_of_text
    text = dataclasses.replace(entry.config.text, end_of_text=end)
    expected = dataclasses.replace(entry.config, text=text)
    if entry.with_activation(config) != expected:
        raise InputError(
            f"{location.repository} does not hold the network of {location.source}: its "
            f"{CONFIG_FILES[location.layout]} describes {config}"
        )
    pairs = {"activation": (activation_name(config), activation_name(entry.config))} | {
        field.name: (getattr(image_config, field.name), getattr(entry.image_config, field.name))
        for field in dataclasses.fields(ImageConfig)
    }
    return [
        f"The files of {location.source} say {name} = {theirs}; the registry's {ours} is used."
        for name, (theirs, ours) in pairs.items()
        if theirs != ours
    ]
