"""The matrix products of an image tower by formula: speeds and programs are held against them."""

from typing import NamedTuple

from jclip.models.config import CLIPConfig, TransformerConfig


class Product(NamedTuple):
    """`[rows, inner] @ [inner, columns]`."""

    rows: int
    inner: int
    columns: int

    @property
    def flops(self) -> int:
        """Multiplications and additions."""
        return 2 * self.rows * self.inner * self.columns


def block_products(tower: TransformerConfig, rows: int) -> tuple[Product, ...]:
    """The dense layers of one block for `rows` tokens: query, key, value, out, MLP."""
    width = tower.width
    square = Product(rows, width, width)
    up, down = Product(rows, width, tower.mlp_width), Product(rows, tower.mlp_width, width)
    return (square, square, square, square, up, down, *((up,) if tower.gated else ()))


def image_flops(config: CLIPConfig) -> int:
    """Operations in the dense layers when one image is embedded.

    Counted is what is computed: where a class token is pooled, only it goes on from the keys and
    values of the last block; a pooling query goes through a block of its own. Products of attention
    weights are left out, as are norms and activations.
    """
    vision = config.vision
    patches = Product(vision.grid**2, 3 * vision.patch_size**2, vision.width)
    whole = sum(one.flops for one in block_products(vision, vision.tokens))
    dense = patches.flops + vision.layers * whole
    if vision.pooling == "class":
        dense += _of_one_query(vision, vision.tokens) - whole
    if vision.pooling == "map":
        dense += _of_one_query(vision.pool, vision.tokens)
    if vision.projection != "none":
        dense += Product(1, vision.width, config.embedding_width).flops
    return dense


def _of_one_query(tower: TransformerConfig, tokens: int) -> int:
    """A block that one token goes through, keys and values being those of all."""
    key_or_value = Product(tokens, tower.width, tower.width)
    pooled = sum(one.flops for one in block_products(tower, 1))
    return pooled + 2 * (key_or_value.flops - Product(1, tower.width, tower.width).flops)


def tower_flops(config: CLIPConfig) -> int:
    """Operations in all matrix products when one image is embedded, by formula.

    The dense layers (`image_flops`), and in attention the products with keys and with values.
    """
    vision = config.vision
    per_query = 2 * 2 * vision.tokens * vision.width
    queries = vision.layers * vision.tokens
    if vision.pooling == "class":
        queries += 1 - vision.tokens
    if vision.pooling == "map":
        queries += 1
    return image_flops(config) + queries * per_query
