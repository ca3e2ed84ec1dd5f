import numpy as np
import pytest

from jclip.probes.shift import ShiftScores


@pytest.fixture
def make_scores():
    def make(model="ViT-B-32/openai", fit="crop", shifts=8, images=12, seed=0, image_set="samples"):
        rng = np.random.default_rng([seed, *map(ord, model + fit)])
        change = rng.normal(0, 1.5, (images, shifts))
        change[:, 0] = 0
        width = max(512, shifts)
        unshifted = rng.normal(25, 2, (images, 1))
        return ShiftScores(
            image_set=image_set,
            model=model,
            fit=fit,
            images=tuple(f"panorama-{i}.jpg" for i in range(images)),
            captions=tuple(f"scene {i}" for i in range(images)),
            heights=np.full(images, width // 2),
            widths=np.full(images, width),
            shifts=np.tile(np.arange(shifts) * width // shifts, (images, 1)),
            scores=unshifted + change,
            mirrored=unshifted[:, 0] + rng.normal(0, 0.5, images),
        )

    return make
