"""The matrix products of an image tower by formula: speeds and programs are held against them."""

from typing import NamedTuple

from jclip.models.config import CLIPConfig, VisionConfig


class Product(NamedTuple):
    """`[rows, inner] @ [inner, columns]`."""

    rows: int
    inner: int
    columns: int

    @property
    def flops(self) -> int:
        """Multiplications and additions."""
        return 2 * self.rows * self.inner * self.columns


def block_products(vision: VisionConfig, rows: int) -> tuple[Product, ...]:
    """The dense layers of one block for `rows` tokens: query, key, value, out, up and down."""
    width = vision.width
    square = Product(rows, width, width)
    up, down = Product(rows, width, vision.mlp_width), Product(rows, vision.mlp_width, width)
    return (square, square, square, square, up, down)


def image_flops(config: CLIPConfig) -> int:
    """Operations in the dense layers when one image is embedded.

    Counted is what is computed: in the last block only the class token goes on from the keys and
    values. Products of attention weights are left out, as are norms and activations.
    """
    vision = config.vision
    patches = Product(vision.grid**2, 3 * vision.patch_size**2, vision.width)
    whole = sum(one.flops for one in block_products(vision, vision.tokens))
    keys_and_values = 2 * Product(vision.tokens, vision.width, vision.width).flops
    pooled = sum(one.flops for one in block_products(vision, 1))
    pooled -= 2 * Product(1, vision.width, vision.width).flops
    projection = Product(1, vision.width, config.embedding_width)
    last = keys_and_values + pooled
    return patches.flops + (vision.layers - 1) * whole + last + projection.flops


def tower_flops(config: CLIPConfig) -> int:
    """Operations in all matrix products when one image is embedded, by formula.

    The dense layers (`image_flops`), and in attention the products with keys and with values; in
    the last block these are for the class token only.
    """
    vision = config.vision
    per_query = 2 * 2 * vision.tokens * vision.width
    queries = (vision.layers - 1) * vision.tokens + 1
    return image_flops(config) + queries * per_query
