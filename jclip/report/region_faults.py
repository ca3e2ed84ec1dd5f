"""Which faults of FG-CLIP's code for FG-OVD a run repeats."""

from jclip.report.faults import REFERENCE, Choice, Fault, FaultChoice

REGIONS_ALONE = Fault(0, 0, "regions judge models that never learned them, without crops beside")
FIXED_GRID = Fault(0, 0, "a grid of 14 or 24 cells for towers that have another")
SOFTMAX = Fault(0, 0, "a softmax in float32 of regions that are not normalised")
TIES_FOR = Fault(0, 0, "ties count for the right caption")
REPEATED = Fault(0, 0, "the right caption is among the wrong ones of some boxes")
SHORT_LISTS = Fault(0, 0, "boxes with few wrong captions are averaged with the others")
NO_INTERVAL = Fault(0, 0, "one share without an interval, of boxes that share pictures")


def region_choices(
    protocols: tuple[str, ...],
    *,
    grid: Choice,
    softmax: Choice,
    repeated_positives: Choice,
    short_lists: Choice,
    repeated: int,
) -> list[FaultChoice]:
    """All that the judgement of regions has a choice in.

    Args:
        protocols: of the run.
        grid: of regions.
        softmax: of regions.
        repeated_positives: of right captions among wrong ones.
        short_lists: of boxes with few wrong captions.
        repeated: how many boxes have their right caption among the wrong ones.
    """
    of_regions = [
        REGIONS_ALONE.choose("crop" not in protocols, f"protocols: {', '.join(protocols)}"),
        FIXED_GRID.choose(grid == REFERENCE, "the grid of regions is the tower's where corrected"),
        SOFTMAX.choose(softmax == REFERENCE, "a softmax where repeated, else the cosine"),
    ]
    there = f"{repeated} boxes; it {'stays' if repeated_positives == REFERENCE else 'is dropped'}"
    few = "among all others" if short_lists == REFERENCE else "in columns of their own"
    return [
        *(of_regions if "roi" in protocols else ()),
        TIES_FOR.choose(False, "for, against and shared, and how many boxes ties decide"),
        REPEATED.choose(repeated_positives == REFERENCE, there),
        SHORT_LISTS.choose(short_lists == REFERENCE, few),
        NO_INTERVAL.choose(False, "intervals and tests resample pictures"),
    ]
