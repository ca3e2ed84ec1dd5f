"""PyTorch beside our sweep: which of its ways is best, and how the two compare."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.sweep import SHIFTS, equal_shifts, prompts_of
from benchmarks.timing import Seconds, Work
from benchmarks.torch_process import Ask
from jclip.data.image_sets import ImageSet
from jclip.errors import RunStopped
from jclip.probes.embed import TEXT_BATCH

_FORMS = {"float32": ("float32",), "bfloat16": ("autocast", "module")}
# Scores are 100 x cosine; further apart than this, the two sides do not compute the same.
_TOLERANCE = 0.01

_METHODS = {
    "sweep": "panorama by panorama, view by view",
    "folder": "a folder of one shift as one batch",
    "tower": "image tower alone, batched",
}


@dataclasses.dataclass(frozen=True)
class TorchSide:
    """A PyTorch process, and the best way that it has for every method and precision.

    `requests` are by (method, precision); `units` is how many panoramas (or images, for `tower`)
    one of them does.
    """

    library: str
    ask: Ask
    versions: dict[str, str]
    requests: dict[tuple[str, str], dict[str, Any]]
    units: dict[tuple[str, str], float]
    scores: np.ndarray

    @classmethod
    def ready(
        cls,
        library: str,
        ask: Ask,
        versions: dict[str, str],
        panoramas: ImageSet,
        width: int,
        batch_sizes: Sequence[int],
    ) -> "TorchSide":
        """Try every form and batch size twice, and keep the fastest of each precision."""
        paths = [str(image.content) for image in panoramas.images]
        prompts = prompts_of(panoramas)
        sweep = {"sweep": [paths[0], prompts[0]], "shifts": list(equal_shifts(width))}
        folder = {"folder": [paths, prompts], "shift": width // 2}
        candidates = {
            "sweep": [(sweep, 1.0)],
            "folder": [(folder, len(paths) / SHIFTS)],
            "tower": [({"tower": batch}, float(batch)) for batch in {16, *batch_sizes}],
        }
        requests, units = {}, {}
        for method, ways in candidates.items():
            for precision, forms in _FORMS.items():
                tried = [(request | {"form": f}, n) for request, n in ways for f in forms]
                for request, _ in tried:
                    ask(request)
                best = min(tried, key=lambda way: ask(way[0])["seconds"] / way[1])
                requests[method, precision], units[method, precision] = best
        scores = np.asarray(ask(requests["sweep", "float32"])["scores"])
        return cls(library, ask, versions, requests, units, scores)

    def work(self) -> dict[tuple, Work]:
        """What is timed, by (library, method, precision)."""

        def asking(request) -> Work:
            return lambda: self.ask(request)["seconds"]

        return {(self.library, *name): asking(request) for name, request in self.requests.items()}


def comparison_rows(
    side: TorchSide,
    seconds: Mapping[tuple, Seconds],
    scores: Mapping[tuple, np.ndarray],
    panoramas: int,
) -> Iterator[dict[str, Any]]:
    """One row per method of theirs, precision of theirs and precision of ours.

    `ratio` is the median over rounds of their time over ours, for one panorama (or image), our
    fastest batch size under the crop.

    Raises:
        RunStopped: the scores of the first panorama in float32 differ by more than 0.01.
    """
    _check_scores(side, scores)
    for (method, theirs), request in side.requests.items():
        own = seconds[side.library, method, theirs].rounds / side.units[method, theirs]
        for ours in dict.fromkeys(name[1] for name in seconds if name[0] == "sweep"):
            best = _fastest(seconds, method, ours, panoramas)
            yield {
                "library": side.library,
                "version": " ".join(side.versions.values()),
                "method": _METHODS[method],
                "unit": "images/s" if method == "tower" else "panoramas/s",
                "their_precision": theirs,
                "their_form": request["form"],
                "their_batch_size": request.get("tower"),
                "theirs_per_s": float(1 / np.median(own)),
                "our_precision": ours,
                "ours_per_s": float(1 / np.median(best)),
                "ratio": float(np.median(own / best)),
                "ratio_low": float(np.quantile(own / best, 0.25)),
                "ratio_high": float(np.quantile(own / best, 0.75)),
            }


def _fastest(seconds: Mapping[tuple, Seconds], method: str, precision: str, panoramas: int):
    """Our seconds per panorama, or per image of the tower, in every round."""
    kind = "tower" if method == "tower" else "sweep"
    own = {name[2:]: s.rounds for name, s in seconds.items() if name[:2] == (kind, precision)}
    if method == "tower":
        ours = [rounds / batch for (batch,), rounds in own.items()]
    else:
        text = seconds["text", precision].rounds / TEXT_BATCH
        ours = [rounds / panoramas + text for (_, fit), rounds in own.items() if fit == "crop"]
    return min(ours, key=np.median)


def _check_scores(side: TorchSide, scores: Mapping[tuple, np.ndarray]) -> None:
    for (_, precision, _, fit), found in scores.items():
        if precision == "float32" and fit == "crop":
            difference = float(np.abs(found[0] - side.scores).max())
            print(f"{side.library}: largest difference of scores {difference:.2g}")
            if difference > _TOLERANCE:
                raise RunStopped(
                    f"{side.library} scores the first panorama {difference:.3g} apart from us: the "
                    "two sides do not compute the same, so their times say nothing"
                )
            return
