"""What the times of a sweep and of its stages mean: rates, shares, and what bounds it."""

from collections.abc import Mapping
from typing import Any

from benchmarks.sweep import SHIFTS
from benchmarks.timing import Seconds
from jclip.checkpoints.flops import image_flops
from jclip.models import CLIPConfig
from jclip.probes.embed import TEXT_BATCH

STAGES = ("decode", "resize", "text", "tower", "write")


def speed_rows(
    config: CLIPConfig,
    seconds: Mapping[tuple, Seconds],
    flops: Mapping[tuple, int],
    memory: Mapping[tuple, float],
    panoramas: int,
) -> list[dict[str, Any]]:
    """One row per precision, batch size and fit.

    Args:
        config: the network.
        seconds: by name of the work: `("sweep", precision, batch, fit)`, `("tower" and "products",
            precision, batch)`, `("text", precision)`, `("resize", fit)`, `("decode",)`,
            `("write",)`.
        flops: of the bare products, by name.
        memory: peak MiB when a work had run once, by name.
        panoramas: how many every sweep scores.

    Returns:
        Medians. A sweep's time is that of its images and of its prompts, embedded in batches of
        `TEXT_BATCH`. Stages are in milliseconds per panorama of eight views, each timed alone:
        their sum differs from the sweep's time where stages overlap. `step_ms` is per batch of
        views. `tower_share` is the rate of the tower's dense layers over that of bare products.
    """
    rows = []
    for name, sweep in seconds.items():
        if name[0] != "sweep":
            continue
        _, precision, batch, fit = name
        tower, products = (seconds[kind, precision, batch] for kind in ("tower", "products"))
        product_rate = flops["products", precision, batch] / products.median
        tower_rate = batch * image_flops(config) / tower.median
        stages = {
            "decode": seconds["decode",].median / panoramas,
            "resize": seconds["resize", fit].median / panoramas,
            "text": seconds["text", precision].median / TEXT_BATCH,
            "tower": tower.median / batch * SHIFTS,
            "write": seconds["write",].median / panoramas,
        }
        each = sweep.median / panoramas + stages["text"]
        rows.append(
            {
                "precision": precision,
                "batch_size": batch,
                "fit": fit,
                "panoramas_per_s": 1 / each,
                "images_per_s": SHIFTS / each,
                "step_ms": 1e3 * sweep.median / panoramas * batch / SHIFTS,
                "compile_s": max(sweep.first - sweep.median, 0.0),
                **{f"{stage}_ms": 1e3 * stages[stage] for stage in STAGES},
                "resize_share": stages["resize"] / each,
                "bound_by": max(STAGES, key=lambda stage: stages[stage]),
                "tower_images_per_s": batch / tower.median,
                "tower_gflops_per_s": tower_rate / 1e9,
                "product_gflops_per_s": product_rate / 1e9,
                "tower_share": tower_rate / product_rate,
                "peak_memory_mib": memory[name],
            }
        )
    return rows
