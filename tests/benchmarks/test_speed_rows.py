import numpy as np
import pytest

from benchmarks.throughput.speed_rows import speed_rows
from benchmarks.timing import Seconds
from jclip.checkpoints.flops import block_products, image_flops
from jclip.models import ARCHITECTURES
from jclip.probes.embed import TEXT_BATCH

B32 = ARCHITECTURES["ViT-B-32"]


def seconds(median, first=None):
    return Seconds(median if first is None else first, np.full(3, median))


def test_rates_shares_and_what_bounds():
    taken = {
        ("decode",): seconds(0.16),
        ("write",): seconds(0.016),
        ("resize", "crop"): seconds(0.08),
        ("text", "float32"): seconds(0.32),
        ("tower", "float32", 64): seconds(3.2),
        ("products", "float32", 64): seconds(1.0),
        ("sweep", "float32", 64, "crop"): seconds(8.0, first=11.0),
    }
    products = 2 * 64 * image_flops(B32)
    (row,) = speed_rows(
        B32,
        taken,
        {("products", "float32", 64): products},
        {("sweep", "float32", 64, "crop"): 900.0},
        panoramas=16,
    )
    text = 0.32 / TEXT_BATCH
    assert row["panoramas_per_s"] == pytest.approx(1 / (0.5 + text))
    assert row["images_per_s"] == pytest.approx(8 * row["panoramas_per_s"])
    assert row["step_ms"] == pytest.approx(4000)
    assert row["compile_s"] == pytest.approx(3)
    assert row["tower_ms"] == pytest.approx(400) and row["bound_by"] == "tower"
    assert row["decode_ms"] == pytest.approx(10) and row["resize_ms"] == pytest.approx(5)
    assert row["resize_share"] == pytest.approx(0.005 / (0.5 + text))
    # 64 images in 3.2 s, against products of 128 images' worth in 1 s.
    assert row["tower_share"] == pytest.approx(20 / 128)
    assert row["peak_memory_mib"] == 900.0


def test_a_tower_is_the_sum_of_its_dense_layers():
    one = sum(product.flops for product in block_products(B32.vision, 50))
    assert one == 2 * 50 * 768 * (4 * 768 + 2 * 3072)
    # 8.8 GFLOP per image are published for B/32 with attention's own products, which are 0.1; the
    # last block computes keys and values of 50 tokens, and all else of one.
    saved = one - (one // 50 + 49 * 2 * 2 * 768 * 768)
    assert image_flops(B32) + saved == pytest.approx(8.7e9, rel=0.01)
