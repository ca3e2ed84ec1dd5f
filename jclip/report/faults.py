"""The faults of the papers' code that a run has a choice in: repeated or corrected.

`Fault.number` counts within the published fault lists of the two papers' code: paper 1 is arXiv
2604.24642 with its repository 360Semantics, paper 2 is arXiv 2404.03539 with its repository
FG-CLIP.
"""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Literal, get_args

from jclip.data.features import Origin
from jclip.images.fits import SUPPLIED
from jclip.text.formats import TextFormat

CHECKPOINTS_OWN = "the checkpoint's own"
Choice = Literal["reference", "corrected"]
REFERENCE, CORRECTED = get_args(Choice)


@dataclasses.dataclass(frozen=True)
class FaultChoice:
    """Whether a run repeats a fault of the papers' code (`reference`) or not (`corrected`)."""

    fault: str
    choice: Choice
    meaning: str


@dataclasses.dataclass(frozen=True)
class Fault:
    """A fault of a paper's code: which paper (1 or 2), its number there, and what it is."""

    paper: int
    number: int
    what: str

    def choose(self, repeated: bool, meaning: str) -> FaultChoice:
        """The choice of a run, with what it means there."""
        return FaultChoice(self.what, REFERENCE if repeated else CORRECTED, meaning)


CENTRE_CROP = Fault(1, 1, "the centre crop keeps half of a panorama")
LORA_TARGETS = Fault(1, 2, "only one of three kinds of LoRA targets acts")
ACTIVATION = Fault(1, 3, "activation other than the checkpoint's own")
WILCOXON_ALONE = Fault(1, 4, "Wilcoxon as the only test, uncorrected")
NO_CORRECTION = Fault(1, 5, "no correction for many tests, no effect sizes")
NO_ANCHOR = Fault(1, 6, "lambda = 1 has no anchor: a constant score minimises it")
PAIRED_BY_ORDER = Fault(1, 7, "images and prompts paired by lexicographic order")
ONE_BETA = Fault(1, 8, "one beta for every model")
DROPOUT_MASKS = Fault(1, 11, "dropout masks differ between a panorama and its shifted copy")

RETRIEVAL_AXIS = Fault(2, 1, "CLIP's own retrieval normalised over samples")
TEXT_AXIS = Fault(2, 2, "hard-negative training normalises texts over the captions of a box")
SQUEEZED_SCORE = Fault(
    2, 3, "the sigmoid of a cosine lies in 0.27 .. 0.73, so that margins ask for too much"
)
SAME_IMAGE_NEGATIVES = Fault(
    2, 4, "other captions of the same image count as negatives in the warm-up"
)
ONE_SEED = Fault(2, 5, "initial weights unseeded, one seed, no deviations")
CHANCE = Fault(2, 7, "chance drawn at n / 2")
SHORT_CAPTIONS = Fault(2, 8, "detectors are scored on boxes with short captions, CLIP on all")
BOX_CROP = Fault(2, 9, "the centre crop keeps less than half of every fourth box")
TIES = Fault(2, 10, "ties count against the right caption")
FEW_NEGATIVES = Fault(2, 10, "boxes with too few negatives vanish silently")
MEDIAN = Fault(2, 10, "the median takes the next index")
WHOLE_MATRIX = Fault(2, 12, "a full N x N matrix for its diagonal")
FIRST_IMAGE_TWICE = Fault(2, 13, "retrieval counts the first image and its captions twice")
CAPTIONS_CUT = Fault(2, 14, "captions beyond five an image are cut")
FEW_NEGATIVES_DROPPED = Fault(2, 15, "training drops boxes with fewer than ten negatives")
# Beside the list: the paper says so itself.
SUPPRESSED = Fault(
    2,
    0,
    "a prediction speaks for a box only if non-maximum suppression leaves it, else the right "
    "caption ranks last",
)

# Of no paper's code, but of the processors that the field's scripts call.
TEXT_CLEANING = Fault(0, 0, "texts are cleaned as a processor does it, not as in training")

# Of the code of hard-negative benchmarks and of the tools that run them.
UNWINNABLE = Fault(0, 0, "foils that equal the right text count, though nobody can win them")
FOIL_TIES = Fault(0, 0, "ties count for the right text in one tool and against it in another")
SMALL_CLASSES = Fault(0, 0, "a relation of one case weighs as much as one of thousands")


def text_choice(name: str, how: TextFormat, chosen: Choice) -> FaultChoice | None:
    """How one checkpoint's texts are cleaned; None if its library does it as its training did."""
    if how.corrected == how.reference:
        return None
    meaning = f"{name}: {how.cleaning(chosen)}"
    return TEXT_CLEANING.choose(chosen == REFERENCE, meaning)


def model_choices(
    fits: Sequence[str], overridden: bool, activation: str | None
) -> list[FaultChoice]:
    """Whether the centre crop, and another activation than the weights were trained with, are used.

    Embeddings that were supplied leave a run no choice in either.
    """
    known = [fit for fit in dict.fromkeys(fits) if fit != SUPPLIED]
    return [crop_choice(known), activation_choice(overridden, activation)] if known else []


def crop_choice(fits: tuple[str, ...] | list[str]) -> FaultChoice:
    """Whether the centre crop, which keeps half of a panorama, is among the fits."""
    meaning = f"fits: {', '.join(fits)}; at half a turn crops share no content"
    return CENTRE_CROP.choose("crop" in fits, meaning)


def paired_choice(caption_files: Sequence[str]) -> FaultChoice:
    """How captions find their images: by name, or by order where a file has no names."""
    by_order = [name for name in caption_files if name.lower().endswith(".txt")]
    meaning = f"{', '.join(by_order)}: natural order, counted" if by_order else "by name"
    return PAIRED_BY_ORDER.choose(False, meaning)


def beta_choices(beta: float | Literal["flip"]) -> list[FaultChoice]:
    """Where the stability bound comes from, and by which tests scores are held to it."""
    calibrated = beta == "flip"
    meaning = "calibrated per model, fit and set by left-right flips"
    tests = "beside it: exact sign test, Holm over shifts, intersection-union test"
    return [
        ONE_BETA.choose(not calibrated, meaning if calibrated else f"beta {beta:g}"),
        WILCOXON_ALONE.choose(False, tests),
    ]


def activation_choice(overridden: bool, activation: str | None) -> FaultChoice:
    """Whether weights run with another activation than they were trained with."""
    return ACTIVATION.choose(overridden, f"activation: {activation or CHECKPOINTS_OWN}")


def activation_choices(origins: Iterable[Origin]) -> list[FaultChoice]:
    """The same of features; none if all of them were supplied, as it is not known then."""
    models = [origin.model for origin in origins if origin.fit != SUPPLIED]
    overridden = [m["activation"] for m in models if m["activation"] != m["own_activation"]]
    found = activation_choice(bool(overridden), overridden[0] if overridden else None)
    return [found] if models else []


def box_crop_choices(origins: Iterable[Origin]) -> list[FaultChoice]:
    """Whether boxes became squares by the centre crop; none if all features were supplied."""
    fits = list(dict.fromkeys(origin.fit for origin in origins if origin.fit != SUPPLIED))
    return [BOX_CROP.choose("crop" in fits, f"fits: {', '.join(fits)}")] if fits else []
