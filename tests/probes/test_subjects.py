"""What is probed: each distinct text is embedded once, whatever the number of fits."""

from pathlib import Path

import jax
import numpy as np
import pytest

from jclip.checkpoints import load_checkpoint
from jclip.models import CLIP
from jclip.models.unit_norm import normalised
from jclip.probes.subjects import make_subjects

GOLDEN = Path(__file__).parents[1] / "golden" / "hf_full"
EMBEDDED = []


class CountedCLIP(CLIP):
    """Notes the token ids that it embeds when it embeds them."""

    def encode_text(self, token_ids, **how):
        jax.debug.callback(lambda ids: EMBEDDED.append(np.asarray(ids)), token_ids)
        return super().encode_text(token_ids, **how)


@pytest.fixture
def counted():
    checkpoint = load_checkpoint(GOLDEN)
    checkpoint.clip.__class__ = CountedCLIP
    EMBEDDED.clear()
    return checkpoint


def embedded():
    jax.effects_barrier()
    return len(np.unique(np.concatenate(EMBEDDED), axis=0)), sum(map(len, EMBEDDED))


def test_each_distinct_text_is_embedded_once(counted):
    # 41 of the 60 texts are distinct: two batches of 32, the last one filled up.
    prompts = [[f"a photo of {i}", f"a view of {i}", "a room"] for i in range(20)]
    prompts[7][2] = prompts[9][2] = "a view of 7"
    subjects, notices = make_subjects(counted, ["crop", "squash", "own"], prompts)
    assert embedded() == (41, 64)
    assert [subject.fit for subject in subjects] == ["crop", "squash"]
    assert subjects[0].texts is subjects[1].texts and notices == []
    for row, k in ((0, 0), (7, 2), (19, 1)):
        ids = counted.tokenizer([prompts[row][k]]).ids
        expected = normalised(counted.clip.encode_text(ids))[0]
        np.testing.assert_allclose(subjects[0].texts[row, k], expected, atol=1e-6)


def test_only_the_rows_that_are_asked_for_are_embedded(counted):
    (subject,), _ = make_subjects(counted, ["own"], [["a"], ["b"], ["c"]], rows=[2, 0])
    assert np.isfinite(subject.texts).all(axis=(1, 2)).tolist() == [True, False, True]
    assert subject.texts.shape == (3, 1, counted.clip.config.embedding_width)
    assert embedded()[0] == 2


def test_truncated_prompts_are_told():
    checkpoint = load_checkpoint(GOLDEN)
    _, (notice,) = make_subjects(checkpoint, ["crop"], [["a"], ["word " * 100]])
    assert notice == "hf_full: 1 prompts are longer than 77 tokens and were truncated."
