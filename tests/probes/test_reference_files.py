"""Text files under the names that each script of paper 1 has in its code."""

import fnmatch

import numpy as np
import pytest
from made_scores import keyword_scores, shift_scores

from jclip.errors import InputError
from jclip.probes.reference_files import (
    check_reference_layout,
    reference_file_name,
    write_keyword_text_files,
    write_shift_text_files,
)


def small(**changes):
    """Two panoramas of one width at three shifts."""
    values = {
        "image_set": "rooms",
        "model": "ViT-B-32/laion400m_e32",
        "fit": "crop",
        "images": ("y.png", "x.png"),
        "captions": ("why", "ex"),
        "heights": np.array([512, 512]),
        "widths": np.array([1024, 1024]),
        "shifts": np.array([[0, 128, 256]] * 2),
        "scores": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]],
        "mirrored": [7.0, 8.0],
    }
    return shift_scores(**(values | changes))


def words(**changes):
    values = {
        "image_set": "rooms",
        "model": "ViT-L-14/openai",
        "fit": "crop",
        "images": ("y.png", "x.png"),
        "contents": ("why", "ex"),
        "control": False,
        "identifiers": ("a panorama of",),
        "generics": ("a photo of", "an image of"),
        "identifier_scores": np.array([[1.0], [4.0]]),
        "generic_scores": np.array([[2.0, 3.0], [5.0, 6.0]]),
    }
    return keyword_scores(**(values | changes))


def written(folder):
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in files}


def test_shifts_are_found_beside_the_original_and_the_original_is_none_of_them(tmp_path):
    write_shift_text_files(tmp_path, small(), adapted=False)
    found = written(tmp_path)
    assert found == {
        "imgs_scores/mixed_scores_ViT_B_32.txt": "1.0000\n4.0000\n",
        "shift_128_imgs_scores/mixed_scores_ViT_B_32.txt": "2.0000\n5.0000\n",
        "shift_256_imgs_scores/mixed_scores_ViT_B_32.txt": "3.0000\n6.0000\n",
    }
    assert len(fnmatch.filter(found, "shift_*/mixed_scores_ViT_B_32.txt")) == 2


def test_scores_of_a_fine_tuned_model_are_in_one_folder(tmp_path):
    write_shift_text_files(tmp_path, small(model="ViT-B-32/x+adapter"), adapted=True)
    folder = "lora_finetuned_scores"
    assert written(tmp_path) == {
        f"{folder}/lora_finetuned_filtered_scores.txt": "1.0000\n4.0000\n",
        f"{folder}/lora_finetuned_shift_128_filtered_scores.txt": "2.0000\n5.0000\n",
        f"{folder}/lora_finetuned_shift_256_filtered_scores.txt": "3.0000\n6.0000\n",
    }


def test_format_words_are_counted_in_words(tmp_path):
    write_keyword_text_files(tmp_path, [words()])
    name = "mixed_scores_ViT_L_14.txt"
    assert written(tmp_path) == {
        f"laion400m_imgs_scores_first_identifier/{name}": "1.0000\n4.0000\n",
        f"laion400m_imgs_scores_first_generic/{name}": "2.0000\n5.0000\n",
        f"laion400m_imgs_scores_second_generic/{name}": "3.0000\n6.0000\n",
    }


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("ViT-B-32/openai", "ViT_B_32"),
        ("random:ViT-L-14", "ViT_L_14"),
        ("ViT-L-14-336/openai", "ViT_L_14_336"),
        ("openai/clip-vit-base-patch16", "ViT_B_16"),
        ("laion/CLIP-ViT-L-14-laion2B-s32B-b82K", "ViT_L_14"),
        ("timm/vit_base_patch32_clip_224.openai", "ViT_B_32"),
        ("my-model", "my_model"),
    ],
)
def test_a_file_is_called_by_the_architecture(model, name):
    assert reference_file_name(model) == f"mixed_scores_{name}.txt"


@pytest.mark.parametrize(
    ("results", "adapted"),
    [
        ([small(), small(image_set="halls")], False),
        ([small(), small(fit="pad")], False),
        ([small(widths=np.array([1024, 512]))], False),
        ([small(), small(model="ViT-B-32/openai")], False),
        ([small(model="ViT-B-32/x+a"), small(model="ViT-B-16/x+a")], True),
        ([words(generics=tuple("abcdefghijk"), generic_scores=np.zeros((2, 11)))], False),
    ],
)
def test_what_the_files_cannot_hold_is_refused(results, adapted):
    with pytest.raises(InputError, match="the paper's text files") as refused:
        check_reference_layout(results, adapted=adapted)
    assert refused.value.argument == "reference_text_files"


def test_what_they_can_hold_is_not():
    check_reference_layout([small(), small(model="ViT-B-16/laion400m_e32")])
    check_reference_layout([small(model="ViT-B-32/x+a")], adapted=True)
    check_reference_layout([words()])
