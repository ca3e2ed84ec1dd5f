import pytest

from jclip.errors import InputError
from jclip.images.geometry import place


def test_crop_keeps_the_middle_half_of_a_panorama():
    placement = place(512, 1024, 224, "crop")
    assert placement.resized == (224, 448)
    assert placement.offset == (0, 112)
    assert placement.window == (224, 224)


@pytest.mark.parametrize(("longer", "offset"), [(225, 0), (226, 1), (227, 2), (229, 2), (231, 4)])
def test_crop_rounds_odd_margins_half_to_even(longer, offset):
    assert place(longer, 224, 224, "crop").offset == (offset, 0)
    assert place(224, longer, 224, "crop").offset == (0, offset)


def test_crop_cuts_the_longer_side_to_whole_pixels():
    assert place(97, 401, 224, "crop").resized == (224, int(224 * 401 / 97))
    assert place(401, 97, 224, "crop").resized == (int(224 * 401 / 97), 224)


def test_pad_puts_the_odd_pixel_at_the_end():
    placement = place(100, 201, 67, "pad")
    assert placement.resized == (33, 67)
    assert placement.bars == (17, 17, 0, 0)
    placement = place(201, 99, 67, "pad")
    assert placement.resized == (67, 33)
    assert place(200, 100, 65, "pad").bars == (0, 0, 16, 17)


def test_pad_refuses_what_it_would_erase():
    with pytest.raises(InputError, match="1000 x 1 pixels is too narrow for fit 'pad' at size 224"):
        place(1, 1000, 224, "pad")


def test_tiles_are_centred_on_yaw_0_and_180():
    placement = place(512, 1024, 224, "tiles")
    assert placement.tile_width == 512
    front, back = placement.tile_starts
    assert front + 256 == 512
    assert (back + 256) % 1024 == 0


def test_tiles_need_a_wide_image():
    with pytest.raises(InputError, match="not 99 x 100"):
        place(100, 99, 224, "tiles")
    assert place(100, 100, 224, "tiles").tile_starts == (0, 50)


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="0 x 5"):
        place(0, 5, 224, "crop")
