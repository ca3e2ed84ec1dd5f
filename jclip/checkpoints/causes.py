"""Whose names the tensors of a file have, and why they may not be those that are expected."""

import re
from collections import Counter
from collections.abc import Collection
from typing import Literal

Layout = Literal["open_clip", "transformers"]
"""Whose names the tensors and files of a checkpoint have."""


_SIGNS: dict[Layout, re.Pattern] = {
    "transformers": re.compile(r"(^|\.)(vision_model|text_model)\."),
    "open_clip": re.compile(r"(^|\.)(visual\.|transformer\.resblocks\.)"),
}
_TOWERS = {
    "image": re.compile(r"(^|\.)(vision_model|visual)\."),
    "text": re.compile(r"(^|\.)(text_model\.|token_embedding\.|(?<!visual\.)transformer\.res)"),
}
_QUANTISED = (".qweight", ".SCB", ".absmax", ".weight_scale", ".quant_state", ".scales")
# A name that has one of these in it is a tower's, whatever stands before.
_OWN = {"visual", "transformer", "vision_model", "text_model", "text", "owlvit", "owlv2", "trunk"}


def layout_of(names: Collection[str]) -> Layout | None:
    """The library that has such names, if one does."""
    best: Layout = max(_SIGNS, key=lambda layout: sum(map(bool, map(_SIGNS[layout].search, names))))
    return best if any(map(_SIGNS[best].search, names)) else None


def common_prefix(names: Collection[str]) -> str:
    """What wrapping modules put before every name, such as `module.`; empty if nothing."""
    split = [name.split(".") for name in names]
    prefix = []
    for parts in zip(*split, strict=False):
        if len(set(parts)) > 1 or parts[0] in _OWN or parts[0].isdigit():
            break
        prefix.append(parts[0])
    if len(split) < 2 or any(len(parts) <= len(prefix) for parts in split):
        return ""
    return "".join(f"{part}." for part in prefix)


def likely_cause(expected: Collection[str], found: Collection[str]) -> str | None:
    """Why a file may hold other tensors than are expected, in some words; None if it is unclear."""
    if not found:
        return "it holds no tensor"
    if any(".lora_" in name for name in found):
        adapter = any(".lora_" in name for name in expected)
        return None if adapter else "it holds a LoRA adapter that is not merged"
    if any(name.endswith(_QUANTISED) for name in found):
        return "its weights are quantised"
    theirs, ours = layout_of(found), layout_of(expected)
    if theirs and ours and theirs != ours:
        return f"its names are those of {theirs}, and the configuration is of {ours}"
    if len(set(expected) & set(found)) == 0:
        first, count = Counter(name.split(".")[0] for name in found).most_common(1)[0]
        if count > 1 and first not in {name.split(".")[0] for name in expected}:
            return f"{count} of its {len(found)} names begin with {first}."
    for tower, other in (("image", "text"), ("text", "image")):
        has = {t: any(map(_TOWERS[t].search, found)) for t in _TOWERS}
        if has[tower] and not has[other] and any(map(_TOWERS[other].search, expected)):
            return f"it holds the {tower} tower alone"
    blocks = [_blocks(names) for names in (found, expected)]
    if all(blocks) and blocks[0] != blocks[1]:
        return f"it has blocks up to number {blocks[0]}, where {blocks[1]} is the last one expected"
    return None


def _blocks(names: Collection[str]) -> int:
    return max((int(n) for name in names for n in re.findall(r"\.(\d{1,6})\.", name)), default=0)
