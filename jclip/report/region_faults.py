"""Which faults of FG-CLIP's code for FG-OVD a run repeats."""

from collections.abc import Mapping, Sequence

from jclip.report.faults import Fault, FaultChoice

REGIONS_ALONE = Fault(0, 0, "regions judge models that never learned them, without crops beside")
FIXED_GRID = Fault(0, 0, "a grid of 14 or 24 cells for towers that have another")
SOFTMAX = Fault(0, 0, "a softmax in float32 of regions that are not normalised")
TIES_FOR = Fault(0, 0, "ties count for the right caption")
REPEATED = Fault(0, 0, "the right caption is among the wrong ones of some boxes")
SHORT_LISTS = Fault(0, 0, "boxes with few wrong captions are averaged with the others")
NO_INTERVAL = Fault(0, 0, "one share without an interval, of boxes that share pictures")


def region_choices(
    protocols: Sequence[str], repeats: Mapping[str, bool], repeated: int
) -> list[FaultChoice]:
    """All that the judgement of regions has a choice in.

    Args:
        protocols: of the run.
        repeats: whether it repeats a fault: `grid`, `softmax`, `repeated_positives`, `short_lists`.
        repeated: how many boxes have their right caption among the wrong ones.
    """
    own = "the cells of boxes are the tower's where corrected"
    of_regions = [
        REGIONS_ALONE.choose("crop" not in protocols, f"protocols: {', '.join(protocols)}"),
        FIXED_GRID.choose(repeats["grid"], own),
        SOFTMAX.choose(repeats["softmax"], "the cosine where corrected"),
    ]
    stays, among = repeats["repeated_positives"], repeats["short_lists"]
    return [
        *(of_regions if "roi" in protocols else ()),
        TIES_FOR.choose(False, "for, against and shared, and how many boxes ties decide"),
        REPEATED.choose(stays, f"{repeated} boxes; it {'stays' if stays else 'is dropped'}"),
        SHORT_LISTS.choose(among, "among all others" if among else "in a table of their own"),
        NO_INTERVAL.choose(False, "intervals and tests resample pictures"),
    ]
