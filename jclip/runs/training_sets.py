"""Which panoramas are trained on and which are kept for the test."""

import dataclasses
from collections.abc import Sequence
from typing import Annotated

from jclip.data.image_sets import ImageSet, open_image_sets, split_image_set
from jclip.errors import InputError
from jclip.runs.options import ImageOptions, Numbers
from jclip.runs.record import Silent


@dataclasses.dataclass(frozen=True)
class TrainingSetOptions:
    """One set of images that is split, or one for training and one for the test."""

    split: Numbers = (0.7, 0.1, 0.2)
    """Shares of training, validation and test panoramas of --images."""
    split_seed: int = 0
    """Of the split by panorama, the same for all lambdas and seeds."""
    train_images: Annotated[str | None, Silent] = None
    """Set of training panoramas, beside --test-images and instead of --images and its split."""
    test_images: Annotated[str | None, Silent] = None
    """Set of test panoramas."""

    def open(self, image: ImageOptions) -> list[ImageSet]:
        """The set that is split, or that of training and that of the test.

        Raises:
            InputError: options do not fit together, or see `open_image_sets`.
        """
        if len(self.split) != 3 or not any(self.split) or not all(0 <= s < 1e9 for s in self.split):
            raise InputError("--split: three shares of 0 or more are expected")
        given = [name for name in (self.train_images, self.test_images) if name]
        if not given:
            return image.open()
        if len(given) == 1 or image.images != ImageOptions.images:
            raise InputError("--train-images and --test-images come together, instead of --images")
        return open_image_sets(given, image.captions, image.pixel_limit)

    def parts(self, sets: Sequence[ImageSet]) -> tuple[ImageSet, ImageSet]:
        """The panoramas of training and of the test.

        Raises:
            InputError: there are too few to split.
        """
        if self.train_images:
            return sets[0], sets[1]
        training, _, test = split_image_set(sets[0], self.split, self.split_seed)
        return training, test


def few_or_shared(training: ImageSet, test: ImageSet, batch_size: int) -> list[str]:
    """Notices of panoramas that fill no batch, and of those in both sets."""
    notices, count = [], len(training.images)
    if count < batch_size:
        notices.append(
            f"{count} training panoramas fill no batch of {batch_size}: every step is of all of "
            "them."
        )
    seen = {image.digest for image in training.images}
    if both := [image.name for image in test.images if image.digest in seen]:
        notices.append(
            f"{len(both)} of {len(test.images)} test panoramas were trained on ({both[0]}, ...): "
            "what is measured on them says little about others."
        )
    return notices
