"""Feature folders become what heads are trained on."""

import numpy as np
import pytest
from small_features import boxed, captioned

from jclip.errors import InputError
from jclip.training.head_data import box_captions, caption_pairs, hold_out, retrieval_pairs


def test_pairs_are_of_their_splits():
    features = captioned(("train", "val", "restval", "test", "train"))
    training, validation = caption_pairs(features, None)
    np.testing.assert_array_equal(training.examples, [0, 1, 4, 5, 8, 9])
    np.testing.assert_array_equal(validation.examples, [2, 3])
    np.testing.assert_array_equal(training.caption_images, features.caption_images)
    np.testing.assert_array_equal(training.captions, features.captions)


def test_the_validation_split_has_either_name():
    features = captioned(("validation", "train", "val"))
    training, validation = caption_pairs(features, None)
    np.testing.assert_array_equal(training.examples, [2, 3])
    np.testing.assert_array_equal(validation.examples, [0, 1, 4, 5])


def test_validation_features_are_used_whole():
    other = captioned(("val", "val"), seed=1)
    _, validation = caption_pairs(captioned(), other)
    np.testing.assert_array_equal(validation.examples, range(4))
    np.testing.assert_array_equal(validation.images, other.images)
    training, validation = box_captions(boxed(), boxed(6))
    assert len(training.examples) == 24 and len(validation.examples) == 6


def test_a_tenth_of_the_images_is_held_out_with_all_its_boxes():
    features = boxed(40)
    training, validation = box_captions(features, None)
    names = [
        {features.image_names[row].split()[0] for row in np.asarray(part.boxes[part.examples])}
        for part in (training, validation)
    ]
    assert not names[0] & names[1] and len(names[0] | names[1]) == 20
    assert len(names[1]) == 2 and len(validation.examples) == 4
    files = ["b", "a", "b", "c"]
    np.testing.assert_array_equal(hold_out(files), hold_out(files))


@pytest.mark.parametrize("validation", [None, boxed(8)])
def test_boxes_with_few_negatives_can_be_dropped_as_in_the_papers_code(validation):
    whole = box_captions(boxed(), validation)
    parts = box_captions(boxed(), validation, least_negatives=3)
    for all_of, fewer in zip(whole, parts, strict=True):
        kept = [row for row in all_of.examples.tolist() if row % 4]
        assert fewer.examples.tolist() == kept and len(kept) < len(all_of.examples)
        assert (np.asarray(fewer.negatives)[kept] >= 0).all()
    with pytest.raises(InputError, match="boxes has 4 negatives or more"):
        box_captions(boxed(), validation, least_negatives=4)


def test_retrieval_is_of_the_test_split():
    features = captioned(("train", "test", "val", "test"))
    test = retrieval_pairs(features)
    assert test.image_names == ("1.png", "3.png")
    assert test.texts == ("caption 2", "caption 3", "caption 6", "caption 7")
    np.testing.assert_array_equal(test.images, features.images[[1, 3]])
    np.testing.assert_array_equal(test.captions, features.captions[[2, 3, 6, 7]])
    np.testing.assert_array_equal(test.caption_images, [0, 0, 1, 1])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: caption_pairs(boxed(), None), "the warm-up needs features of kind coco"),
        (lambda: box_captions(captioned(), None), "needs features of kind fg_ovd"),
        (lambda: caption_pairs(captioned(("train",)), None), "in split val or validation"),
        (lambda: retrieval_pairs(captioned(("train",))), "no image is in split test"),
        (lambda: box_captions(boxed(), None, "color"), "no set color: 1_attributes, pattern"),
    ],
)
def test_what_is_not_there_is_named(make, message):
    with pytest.raises(InputError, match=message):
        make()
