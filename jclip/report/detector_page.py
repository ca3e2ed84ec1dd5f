"""The page of detectors against CLIP on fine-grained captions."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from jclip.probes.box_matching import Matching
from jclip.probes.detector_ranks import BoxSubset, Truncation
from jclip.report.fine_grained_page import (
    comparison_tables,
    mean_rank_finding,
    models_of,
    rank_illustration,
    rank_tables,
)
from jclip.report.page import Column, Page, Section
from jclip.report.tables import page_table


def detector_page(
    subsets: Sequence[BoxSubset], truncated: Sequence[Truncation], *, context: int
) -> Page:
    """The page of ranks by detectors, and by CLIP, on all boxes and on those with short captions.

    The detector reads `context` tokens; `truncated` is what that does to each set.

    Raises:
        ValueError: no summaries.
    """
    if not subsets or not subsets[0].summaries:
        raise ValueError("no results")
    return Page(
        f"Detector ranks: {models_of(subsets[0].summaries)[0].partition(',')[0]}",
        mean_rank_finding(subsets[0].summaries),
        (*map(_subset_section, subsets), _truncation_section(truncated, context)),
    )


def detector_notices(
    scores: Mapping[Matching, Float[np.ndarray, "n k"]],
    truncated: Sequence[Truncation],
    context: int,
) -> Iterator[str]:
    """What a reader of the page has to know first: captions cut, boxes without a prediction."""
    boxes, cut = (sum(getattr(one, what) for one in truncated) for what in ("boxes", "cut"))
    if cut:
        yield (
            f"{cut} of {boxes} boxes have a caption of more than {context} tokens, of which the "
            "detector reads only the beginning."
        )
    if "reference" in scores:
        silent = int((scores["reference"][:, 0] == 0).sum())
        yield (
            f"Under the rule reference no prediction speaks for {silent} of {boxes} boxes: their "
            "right captions rank last."
        )


def _subset_section(subset: BoxSubset) -> Section:
    of = f", {subset.name}"
    return Section(
        subset.name,
        "Does a detector rank the right caption of a box above hard negatives better than CLIP "
        f"does on the cut-out box? {subset.meaning} 1 is best. Ties count against the right "
        "caption, as in the paper, or half: then a rule under which no prediction speaks for a "
        "box, so that all its captions score 0, is at chance there. Models are compared by "
        "two-sided Wilcoxon signed-rank tests on the same boxes, p adjusted over the table by "
        "Holm's method.",
        rank_illustration(subset.summaries, subset.name.replace(" ", "-")),
        *rank_tables(subset.summaries, of),
        *comparison_tables(subset.comparisons, of),
    )


def _truncation_section(truncated: Sequence[Truncation], context: int) -> Section:
    rows = [
        {"set": t.set, "boxes": t.boxes, "cut": t.cut, "share": t.cut / t.boxes, "alike": t.alike}
        for t in truncated
    ]
    columns = {
        **dict.fromkeys(("set", "boxes")),
        "cut": Column(f"with a caption over {context} tokens"),
        "share": Column("share", ".1%"),
        "alike": Column("with a wrong caption that is then the right one"),
    }
    return Section(
        "Captions that were cut",
        f"The detector reads {context} tokens, start and end included. Longer captions lose their "
        "last words and keep the end token; where that makes a wrong caption equal to the right "
        "one, they tie. The paper leaves such boxes out for detectors and not for CLIP.",
        page_table(f"Captions over {context} tokens", pa.Table.from_pylist(rows), columns),
    )
