"""What a person may write for a checkpoint: names of other tools, addresses, files, hub ids."""

import difflib
import re
from collections.abc import Collection
from pathlib import Path

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from jclip.checkpoints.architectures import ARCHITECTURES
from jclip.checkpoints.registry import REGISTRY
from jclip.errors import InputError

DEMO = "demo"
WEIGHTS_SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
PICKLE_SUFFIXES = WEIGHTS_SUFFIXES[1:]

_HUB = re.compile(
    r"(?:hf[-_]hub:|hf://(?:models/)?|https?://(?:www\.)?(?:huggingface\.co|hf\.co)/(?:models/)?)"
    r"(?P<rest>.*)"
)
_PAGES = re.compile(r"(?P<id>[^/]+/[^/]+)/(?:tree|blob|resolve)/(?P<revision>[^/]+)(?:/.*)?")
_HUB_ID = re.compile(r"(?P<organisation>[\w.-]+)/[\w.-]+")
_OPENAI = re.compile(r"(vit-\w+)/(\d+)(?:@(\d+)px)?", re.IGNORECASE)


def path_of(source: str) -> Path:
    """The folder or file that a name would be.

    Raises:
        InputError: it cannot be a path, such as `~NOBODY/x` or an address of the network.
    """
    try:
        path = Path(source.removeprefix("local-dir:").removeprefix("file://")).expanduser()
        path.exists()
    except (OSError, RuntimeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{source!r:.80}: there is no such folder ({reason})") from None
    return path


def hub_id_of(source: str) -> tuple[str, str | None]:
    """The repository and the revision that a name stands for: `ORGANISATION/NAME[@REVISION]`.

    open_clip's and timm's prefixes and the addresses of the hub's pages are understood too.

    Raises:
        InputError: it is no hub id; what to write instead is said.
    """
    named = source.strip()
    if prefixed := _HUB.fullmatch(named):
        named = prefixed["rest"].partition("?")[0].strip("/")
        if page := _PAGES.fullmatch(named):
            named = f"{page['id']}@{page['revision']}"
    elif "://" in named:
        raise InputError(f"{source}: only folders of this machine and hub ids are read")
    elif hint := _hint(named):
        raise InputError(f"{source} {hint}")
    repository, at, revision = named.partition("@")
    found = _HUB_ID.fullmatch(repository)
    if not found or source[0] in ".-" or (not prefixed and found["organisation"] in ARCHITECTURES):
        raise InputError(_unknown(source, "/" in source and not found))
    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{source} is no hub id, nor a folder here: {reason}") from None
    if at and not revision:
        raise InputError(f"{source}: no revision after the @")
    return repository, revision or None


def _hint(source: str) -> str | None:
    """What to write instead of another tool's name, or of a file's."""
    if re.fullmatch(r"RN\d+(x\d+)?(-quickgelu)?([/:].*)?", source):
        return "is a ResNet, which is not supported: image towers are transformers"
    if openai := _OPENAI.fullmatch(source):
        architecture = "-".join(part for part in openai.groups() if part).lower()
        return f"is OpenAI's name: {_did_you_mean(_of(architecture)[:1]) or 'not supported'}"
    parts = re.split(r"[/:,\s]+", source)
    if parts[0].lower().endswith("-quickgelu"):
        parts[0] = parts[0][: -len("-quickgelu")]
        known = [name for name in _of(parts[0]) if REGISTRY[name].activation == "quick_gelu"]
        tagged = [name for name in known if name.split("/")[1] in parts[1:]]
        return f"is open_clip's name: {_did_you_mean(tagged or known)}" if known else None
    known = [name for name in REGISTRY if name.lower() == "/".join(parts).lower()]
    if known:
        return f"is written otherwise here: {_did_you_mean(known)}"
    path = Path(source)
    if path.suffix in (*WEIGHTS_SUFFIXES, ".json", ".h5", ".msgpack", ".onnx", ".gguf"):
        folder = f"its folder, {path.parent}, or " if path.parent != Path(".") else ""
        return f"is no file here; a checkpoint is called by {folder}an existing file of weights"
    return None


def _of(architecture: str) -> list[str]:
    """The checkpoints of an architecture, OpenAI's first."""
    names = [name for name in REGISTRY if name.lower().startswith(f"{architecture.lower()}/")]
    return sorted(names, key=lambda name: not name.endswith("/openai"))


def _did_you_mean(names: Collection[str]) -> str:
    return f"did you mean {' or '.join(list(names)[:4])}?" if names else ""


_SOME = ("ViT-B-32/openai", "ViT-B-16-SigLIP2/webli", "PE-Core-B-16/meta", DEMO)


def _unknown(source: str, like_a_path: bool) -> str:
    if like_a_path or source.startswith((".", "~")):
        return f"{source}: there is no such folder"
    names = {name.lower(): name for name in [*REGISTRY, DEMO]}
    close = difflib.get_close_matches(source.lower(), names, n=4, cutoff=0.5)
    hint = _did_you_mean([names[name] for name in close]) or f"known: {', '.join(_SOME)}, ..."
    return (
        f"{source} is no checkpoint of the registry, no folder and no hub id "
        f"(ORGANISATION/NAME); {hint}"
    )
