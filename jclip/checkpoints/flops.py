"""The matrix products of an image tower by formula: what one image costs, whatever computes it."""

from typing import NamedTuple

from jclip.models.config import CLIPConfig, TransformerConfig, VisionConfig


class Product(NamedTuple):
    """`[rows, inner] @ [inner, columns]`."""

    rows: int
    inner: int
    columns: int

    @property
    def flops(self) -> int:
        """Multiplications and additions."""
        return 2 * self.rows * self.inner * self.columns


def block_products(config: TransformerConfig, rows: int) -> tuple[Product, ...]:
    """The dense layers of one block for `rows` tokens: query, key, value, out, and the MLP's."""
    return _products(config, rows, rows)


def _products(config: TransformerConfig, queries: int, tokens: int) -> tuple[Product, ...]:
    """Those where `queries` go on that attend to `tokens`."""
    width, inner = config.width, config.mlp_width
    asking, asked = Product(queries, width, width), Product(tokens, width, width)
    up = (Product(queries, width, inner),) * (1 + config.gated)
    return (asking, asked, asked, asking, *up, Product(queries, inner, width))


def image_flops(config: CLIPConfig) -> int:
    """Operations in the dense layers when one image is embedded.

    Counted is what is computed: where the class token is pooled, only it goes on from the keys and
    values of the last block. Products of attention weights are left out, as are norms and
    activations. Of a tower for images of every shape it is a square one.
    """
    vision = config.vision
    tokens = vision.tokens
    found = [Product(vision.grid**2, 3 * vision.patch_size**2, vision.width)]
    found += block_products(vision, tokens) * (vision.layers - 1)
    found += _products(vision, _read(vision), tokens)
    if vision.pooling == "map":
        found += _products(vision.pool, 1, tokens)
    if vision.projection != "none":
        found.append(Product(1, vision.width, config.embedding_width))
    return sum(one.flops for one in found)


def tower_flops(config: CLIPConfig) -> int:
    """Operations in all matrix products when one image is embedded, by formula.

    The dense layers (`image_flops`), and in attention the products with keys and with values, of
    as many tokens as go on.
    """
    vision = config.vision
    per_query = 2 * 2 * vision.tokens * vision.width
    queries = (vision.layers - 1) * vision.tokens + _read(vision) + (vision.pooling == "map")
    return image_flops(config) + queries * per_query


def _read(vision: VisionConfig) -> int:
    """How many tokens of the last block the pooling reads."""
    return 1 if vision.pooling == "class" else vision.tokens
