"""What peft calls the factors of an adapter, for both libraries' models."""

import dataclasses
import re
from collections.abc import Iterable
from typing import Literal

from jclip.errors import InputError

Tower = Literal["image_tower", "text_tower"]

# Where the blocks are, as seen from the module that peft wrapped. The bare names occur in a tower
# wrapped by itself, and in open_clip's whole model, where they are the text tower's.
_STACKS: dict[str, Tower | None] = {
    "vision_model.encoder.layers": "image_tower",
    "text_model.encoder.layers": "text_tower",
    "visual.transformer.resblocks": "image_tower",
    "text.transformer.resblocks": "text_tower",
    "encoder.layers": None,
    "transformer.resblocks": None,
}
# What may stand before a bare name: modules that wrap a tower, and modules that say which it is.
_WRAPPERS = "base_model model module _orig_mod clip clip_model backbone net network".split()
_TOWERS: dict[str, Tower] = {
    **dict.fromkeys(("vision_model", "vision_tower", "vision_encoder", "visual"), "image_tower"),
    **dict.fromkeys(("image_encoder", "image_tower"), "image_tower"),
    **dict.fromkeys(("text_model", "text_tower", "text_encoder", "text"), "text_tower"),
}
_CLASSES: dict[str, Tower] = {
    **dict.fromkeys(("CLIPVisionModel", "CLIPVisionModelWithProjection"), "image_tower"),
    **dict.fromkeys(("CLIPVisionTransformer", "VisionTransformer"), "image_tower"),
    **dict.fromkeys(("CLIPTextModel", "CLIPTextModelWithProjection"), "text_tower"),
    **dict.fromkeys(("CLIPTextTransformer", "TextTransformer", "CLIP"), "text_tower"),
}
_MODULES = {
    "encoder.layers": {
        "self_attn.q_proj": "attention.query",
        "self_attn.k_proj": "attention.key",
        "self_attn.v_proj": "attention.value",
        "self_attn.out_proj": "attention.out",
        "mlp.fc1": "mlp.up",
        "mlp.fc2": "mlp.down",
    },
    "transformer.resblocks": {
        "attn.out_proj": "attention.out",
        "mlp.c_fc": "mlp.up",
        "mlp.c_proj": "mlp.down",
    },
}
_BLOCKS = "transformer.blocks"

INERT = "attn.out_proj"
"""open_clip's module whose LoRA never acts: nn.MultiheadAttention reads the weight of its out_proj
and does not call the module, so what peft puts around it has no effect."""

_NAME = re.compile(
    rf"(?P<before>(?:\w+\.)*?)(?P<stack>{'|'.join(map(re.escape, _STACKS))})"
    r"\.(?P<block>\d{1,4})\.(?P<module>[a-z_0-9.]+)\.lora_(?P<factor>[AB])(?:\.(?P<adapter>\w+))?\.weight"
)
_FACTOR = re.compile(r"(?:base_model\.model\.)?(?P<module>.+)\.lora_\w+(?:\.\w+)*")


@dataclasses.dataclass(frozen=True)
class TensorName:
    """What the name of a tensor says: the dense layer's dotted path, the block, and which factor.

    `inert` marks factors that open_clip never applies.
    """

    path: str
    block: int
    factor: Literal["A", "B"]
    inert: bool


def _matches(names: Iterable[str]) -> dict[str, re.Match]:
    matches = {name: match for name in names if (match := _NAME.fullmatch(name))}
    known = {*_WRAPPERS, *_TOWERS}
    return {
        name: match
        for name, match in matches.items()
        if _STACKS[match["stack"]] or known.issuperset(match["before"].split(".")[:-1])
    }


def _said_tower(match: re.Match) -> Tower | None:
    """The tower that a name itself says."""
    said: list[Tower | None] = [
        _TOWERS[part] for part in match["before"].split(".") if part in _TOWERS
    ]
    return _STACKS[match["stack"]] or (said[-1] if said else None)


def tower_of_bare_names(names: Iterable[str], wrapped: str | None) -> Tower | None:
    """Whose the names are that do not say it, from the class that peft wrapped and other names.

    None where that is not to be seen, though there are such names.
    """
    matches = _matches(names).values()
    # Beside `visual.`, bare names can only be the text tower's.
    if any(match["stack"] == "visual.transformer.resblocks" for match in matches):
        return "text_tower"
    if all(map(_said_tower, matches)):
        return "image_tower"
    return _CLASSES.get(wrapped or "")


def read_names(names: Iterable[str], bare: Tower) -> dict[str, TensorName]:
    """What those of the names say that are factors of a CLIP's dense layers.

    Args:
        names: of the tensors in an adapter's file.
        bare: the tower of the names that do not say it.

    Raises:
        InputError: they are of several adapters.
    """
    matches = _matches(names)
    if len(adapters := {match["adapter"] for match in matches.values()}) > 1:
        raise InputError(f"several adapters in one: {', '.join(sorted(map(str, adapters)))}")
    found = {}
    for name, match in matches.items():
        library = next(stack for stack in _MODULES if match["stack"].endswith(stack))
        module = _MODULES[library].get(match["module"])
        if module is None:
            continue
        found[name] = TensorName(
            path=f"{_said_tower(match) or bare}.{_BLOCKS}.{module}",
            block=int(match["block"]),
            factor="A" if match["factor"] == "A" else "B",
            inert=match["module"] == INERT,
        )
    return found


def modules_outside(names: Iterable[str]) -> list[str]:
    """The modules with factors that are not in the blocks of a tower, such as a projection."""
    names = list(names)
    inside = _matches(names)
    found = (_FACTOR.fullmatch(name) for name in names if name not in inside)
    modules = {match["module"] for match in found if match}
    return sorted(module for module in modules if not re.search(r"(layers|resblocks)\.\d", module))


def write_name(
    path: str, block: int, layout: Literal["transformers", "open_clip"], *, inert: bool
) -> str:
    """What a dense layer is called in transformers' `CLIPModel`, or in open_clip's `visual`.

    Raises:
        InputError: there is no such module in open_clip's `visual`, or its LoRA would not act.
    """
    tower, module = path.split(f".{_BLOCKS}.")
    if layout == "transformers":
        library = "encoder.layers"
        stack = f"{'vision' if tower == 'image_tower' else 'text'}_model.{library}"
    else:
        library = stack = "transformer.resblocks"
        if tower == "text_tower" or (module.startswith("attention.") and not inert):
            raise InputError(
                f"{path} cannot be written in the open_clip layout: of that library's models only "
                "mlp.up and mlp.down of the image tower can be adapted"
            )
    name = next(theirs for theirs, ours in _MODULES[library].items() if ours == module)
    return f"{stack}.{block}.{name}"
