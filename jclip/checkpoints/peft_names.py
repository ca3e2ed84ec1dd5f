"""What peft calls the factors of an adapter, for both libraries' models."""

import dataclasses
import re
from collections.abc import Iterable
from typing import Literal

from jclip.errors import InputError

# Where the blocks are, as seen from the module that peft wrapped. The bare names occur in a tower
# wrapped by itself, and in open_clip's whole model, where they are the text tower's.
_STACKS = {
    "vision_model.encoder.layers": "image_tower",
    "text_model.encoder.layers": "text_tower",
    "visual.transformer.resblocks": "image_tower",
    "text.transformer.resblocks": "text_tower",
    "encoder.layers": None,
    "transformer.resblocks": None,
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
    rf"base_model\.model\.(?P<stack>{'|'.join(map(re.escape, _STACKS))})\.(?P<block>\d+)\."
    r"(?P<module>[a-z_0-9.]+)\.lora_(?P<factor>[AB])\.weight"
)


@dataclasses.dataclass(frozen=True)
class TensorName:
    """What the name of a tensor says: the dense layer's dotted path, the block, and which factor.

    `inert` marks factors that open_clip never applies.
    """

    path: str
    block: int
    factor: Literal["A", "B"]
    inert: bool


def read_names(names: Iterable[str], wrapped: str | None) -> dict[str, TensorName]:
    """What those of an adapter's tensors are that are factors of a CLIP's dense layers, by name.

    `wrapped` is the class that peft wrapped, if the adapter says so.
    """
    matches = {name: match for name in names if (match := _NAME.fullmatch(name))}
    # Beside `visual.`, bare names can only be the text tower's.
    stacks = {match["stack"] for match in matches.values()}
    text_classes = ("CLIP", "CLIPTextModel", "CLIPTextTransformer", "TextTransformer")
    text = wrapped in text_classes or "visual.transformer.resblocks" in stacks
    found = {}
    for name, match in matches.items():
        library = next(stack for stack in _MODULES if match["stack"].endswith(stack))
        module = _MODULES[library].get(match["module"])
        if module is None:
            continue
        tower = _STACKS[match["stack"]] or ("text_tower" if text else "image_tower")
        found[name] = TensorName(
            path=f"{tower}.{_BLOCKS}.{module}",
            block=int(match["block"]),
            factor="A" if match["factor"] == "A" else "B",
            inert=match["module"] == INERT,
        )
    return found


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
