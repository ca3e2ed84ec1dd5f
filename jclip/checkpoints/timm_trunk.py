"""Image towers of timm inside open_clip's layout: SigLIP, PE-Core, EVA-02."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from jclip.checkpoints.name_map import TensorRule, linear_rules, norm_rules
from jclip.files.json_fields import Fields
from jclip.models.config import Activation, Rotary

TRUNK = "visual.trunk."
"""What the names of the tensors begin with."""

_NAME = re.compile(
    r"(?P<family>vit_pe_core|vit|eva02)_(?P<size>[a-z0-9]+)_patch(?P<patch>\d+)_"
    r"(?P<kind>siglip_|clip_)?(?P<image>\d+)"
)


@dataclasses.dataclass(frozen=True)
class _Size:
    """Width, blocks, width of a head and of the MLP."""

    width: int
    layers: int
    head_width: int
    mlp_width: int


_SIZES = {
    "tiny": _Size(192, 12, 64, 768),
    "small": _Size(384, 12, 64, 1536),
    "base": _Size(768, 12, 64, 3072),
    "large": _Size(1024, 24, 64, 4096),
    "so400m": _Size(1152, 27, 72, 4304),
    "giantopt": _Size(1536, 40, 96, 6144),
    "gigantic": _Size(1536, 50, 96, 8960),
}
_EVA_SIZES = {"base": _Size(768, 12, 64, 2048), "large": _Size(1024, 24, 64, 2730)}
# Which of the towers called so were built with the tanh form; all others are exact.
_TANH = re.compile(
    r"vit_(base_patch32_siglip_256|large_patch16_siglip_512|so400m_patch16_siglip_(256|384|512)"
    r"|giantopt_patch\d+_siglip_\d+)"
)
# PE-Core pools with as many heads whatever its width; EVA-02's angles are those of a grid of 16.
_PE_POOL_HEADS, _EVA_GRID = 8, 16


def read_trunk(
    fields: Fields, embedding_width: int, shapes: Mapping[str, tuple[int, ...]] | None
) -> dict[str, Any]:
    """The image tower that `vision_cfg` describes by the name of a model of timm.

    Heads and activation follow from the name, and so do the sizes, unless the tensors' are known.

    Args:
        fields: of `vision_cfg`.
        embedding_width: of the network.
        shapes: of the tensors, where they are known already.
    """
    name = fields.take("timm_model_name", "")
    family, size, patch, image = _parsed(name)
    image_size = fields.take_positive("image_size", image)
    fields.ignore("timm_model_pretrained", "timm_proj_bias", "timm_drop", "timm_drop_path")
    fields.ignore("layers", "width", "head_width", "mlp_ratio", "patch_size", "patch_dropout")
    if size is None:
        fields.refuse("timm_model_name", name, "supported: SigLIP, PE-Core and EVA-02 B and L")
        family, size = "siglip", _SIZES["base"]
    pools = {"siglip": ("map", "none"), "pe": ("map", None), "eva02": ("token", None)}
    pool, projection = pools[family]
    fields.only("timm_pool", pool)
    fields.only("timm_proj", projection)
    gigantic = family == "pe" and "gigantic" in name
    pool_mlp_width = 4 * size.width if family == "pe" else size.mlp_width
    if shapes and f"{TRUNK}pos_embed" in shapes:
        size, patch, grid, pool_mlp_width = _measured(shapes, size)
        if image_size // patch != grid:
            reason = f"{TRUNK}pos_embed is for {grid} x {grid} patches of {patch} pixels"
            fields.refuse("image_size", image_size, reason)
    if image_size < patch:
        fields.refuse("image_size", image_size, f"a patch has {patch} pixels")
        image_size = patch
    if size.width % size.head_width:
        fields.refuse("timm_model_name", name, f"its heads are {size.head_width} wide")
    if family == "siglip" and size.width != embedding_width:
        fields.refuse("timm_model_name", name, f"embed_dim is {embedding_width}, not its width")
    fields.finish()
    heads = max(size.width // size.head_width, 1)
    tower: dict[str, Any] = {
        "width": size.width,
        "layers": size.layers,
        "heads": heads,
        "mlp_width": size.mlp_width,
        "image_size": image_size,
        "patch_size": patch,
        "activation": _activation(family, name),
        "norm_epsilon": 1e-5 if family == "pe" else 1e-6,
        "class_token": family != "siglip" and not gigantic,
        "patch_bias": family != "pe",
        "pre_norm": family == "pe",
        "projection": "none" if family == "siglip" else "biased",
    }
    if family == "eva02":
        scale = _EVA_GRID / (image_size // patch)
        tower |= {"rotary": Rotary("y", scale=scale), "gated": True, "inner_norms": True}
        return tower | {"key_bias": False}
    pool_heads = _PE_POOL_HEADS if family == "pe" else heads
    tower |= {"pooling": "map", "pool_heads": pool_heads, "pool_mlp_width": pool_mlp_width}
    if family == "pe":
        tower["rotary"] = Rotary("x", start=0 if gigantic else 1)
    return tower


def _activation(family: str, name: str) -> Activation:
    if family == "eva02":
        return "silu"
    return "gelu_tanh" if _TANH.fullmatch(name) else "gelu"


def _parsed(name: str) -> tuple[str, _Size | None, int, int]:
    """Family, sizes (None if the model is not supported), patch and image size of a name."""
    match = _NAME.fullmatch(name)
    if match is None:
        return "", None, 16, 224
    families = {("vit", "siglip_"): "siglip", ("vit_pe_core", None): "pe"}
    family = families.get((match["family"], match["kind"]), match["family"])
    sizes = {"eva02": _EVA_SIZES, "siglip": _SIZES, "pe": _SIZES}.get(family, {})
    return family, sizes.get(match["size"]), int(match["patch"]), int(match["image"])


def _measured(shapes: Mapping[str, tuple[int, ...]], named: _Size) -> tuple[_Size, int, int, int]:
    """Sizes, patch, grid and width of the pool's MLP as the tensors have them."""
    trunk = {name.removeprefix(TRUNK): shape for name, shape in shapes.items()}
    width, _, patch, _ = trunk["patch_embed.proj.weight"]
    layers = len({name.split(".")[1] for name in trunk if name.startswith("blocks.")})
    ups = ("blocks.0.mlp.fc1_g.weight", "blocks.0.mlp.fc1.weight")
    mlp_width = next((trunk[up][0] for up in ups if up in trunk), named.mlp_width)
    tokens = trunk["pos_embed"][1] - ("cls_token" in trunk)
    pool = trunk.get("attn_pool.mlp.fc1.weight", (0,))[0]
    size = _Size(width, layers, named.head_width, mlp_width)
    return size, patch, round(tokens**0.5), pool


_BLOCK, _OURS = f"{TRUNK}blocks.{{layer}}", "image_tower.transformer.blocks"
_POOL, _HEAD = f"{TRUNK}attn_pool", "image_tower.head"

_SHARED_RULES = (
    TensorRule(f"{TRUNK}cls_token", "image_tower.class_embedding", ones=2),
    TensorRule(f"{TRUNK}pos_embed", "image_tower.position_embedding", ones=1),
    TensorRule(f"{TRUNK}patch_embed.proj.weight", "image_tower.patch_embedding.kernel", "patches"),
    TensorRule(f"{TRUNK}patch_embed.proj.bias", "image_tower.patch_embedding.bias"),
    *norm_rules(f"{TRUNK}norm_pre", "image_tower.pre_norm"),
    *norm_rules(f"{_BLOCK}.norm1", f"{_OURS}.attention_norm"),
    *norm_rules(f"{_BLOCK}.norm2", f"{_OURS}.mlp_norm"),
    *linear_rules(f"{_BLOCK}.attn.proj", f"{_OURS}.attention.out"),
    *linear_rules(f"{_BLOCK}.mlp.fc2", f"{_OURS}.mlp.down"),
    *norm_rules(f"{TRUNK}norm", "image_tower.post_norm"),
    TensorRule(f"{_POOL}.latent", f"{_HEAD}.probe", ones=2),
    *linear_rules(f"{_POOL}.q", f"{_HEAD}.attention.query"),
    TensorRule(
        f"{_POOL}.kv.weight",
        (f"{_HEAD}.attention.key.kernel", f"{_HEAD}.attention.value.kernel"),
        "transposed",
    ),
    TensorRule(
        f"{_POOL}.kv.bias", (f"{_HEAD}.attention.key.bias", f"{_HEAD}.attention.value.bias")
    ),
    *linear_rules(f"{_POOL}.proj", f"{_HEAD}.attention.out"),
    *norm_rules(f"{_POOL}.norm", f"{_HEAD}.norm"),
    *linear_rules(f"{_POOL}.mlp.fc1", f"{_HEAD}.mlp.up"),
    *linear_rules(f"{_POOL}.mlp.fc2", f"{_HEAD}.mlp.down"),
    *linear_rules(f"{TRUNK}head", "image_tower.projection"),
)
_PARTS = [f"{_OURS}.attention.{part}" for part in ("query", "key", "value")]
_FUSED_RULES = (
    TensorRule(
        f"{_BLOCK}.attn.qkv.weight", tuple(f"{part}.kernel" for part in _PARTS), "transposed"
    ),
    TensorRule(f"{_BLOCK}.attn.qkv.bias", tuple(f"{part}.bias" for part in _PARTS)),
    *linear_rules(f"{_BLOCK}.mlp.fc1", f"{_OURS}.mlp.up"),
)
_GATED_RULES = (
    *linear_rules(f"{_BLOCK}.attn.q_proj", f"{_OURS}.attention.query"),
    *linear_rules(f"{_BLOCK}.attn.k_proj", f"{_OURS}.attention.key"),
    *linear_rules(f"{_BLOCK}.attn.v_proj", f"{_OURS}.attention.value"),
    *norm_rules(f"{_BLOCK}.attn.norm", f"{_OURS}.attention.norm"),
    *linear_rules(f"{_BLOCK}.mlp.fc1_g", f"{_OURS}.mlp.gate"),
    *linear_rules(f"{_BLOCK}.mlp.fc1_x", f"{_OURS}.mlp.up"),
    *norm_rules(f"{_BLOCK}.mlp.norm", f"{_OURS}.mlp.norm"),
)


def trunk_rules(gated: bool) -> tuple[TensorRule, ...]:
    """What every tensor of a trunk becomes; those of EVA-02 are gated."""
    return (*_SHARED_RULES, *(_GATED_RULES if gated else _FUSED_RULES))
