"""The plain PyTorch loop that `benchmarks.heads` is compared with; run by it, without jclip.

A request `{"features": "FILE.npz", "epochs": N, "seeds": N}` trains a linear head per seed in turn,
as the paper does; the answer has the seconds of all of them and the best validation loss of each.
"""

import copy
import json
import sys
import time

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from torch.nn.functional import normalize  # pyright: ignore[reportMissingImports]

BATCH, LEARNING_RATE, MARGIN = 256, 5e-5, 0.2


def triplet_loss(maps, images, texts):
    """The sum over both directions of in-batch negatives of the sigmoid of cosines."""
    seen, said = normalize(maps[0](images)), normalize(maps[1](texts))
    scores = torch.sigmoid(seen @ said.T)
    right = scores.diagonal()
    wrong = ~torch.eye(len(scores), dtype=torch.bool)
    by_image = (MARGIN + scores - right[:, None]).clamp(min=0)
    by_text = (MARGIN + scores - right).clamp(min=0)
    return ((by_image + by_text) * wrong).sum()


def train(seed, epochs, training, validation):
    """The validation loss of the best of some epochs."""
    torch.manual_seed(seed)
    size = training[0].shape[1]
    maps = torch.nn.ModuleList([torch.nn.Linear(size, size) for _ in range(2)])
    optimizer = torch.optim.Adam(maps.parameters(), lr=LEARNING_RATE)
    best, best_loss = None, float("inf")
    for _ in range(epochs):
        for rows in torch.randperm(len(training[0])).split(BATCH):
            optimizer.zero_grad()
            triplet_loss(maps, *(part[rows] for part in training)).backward()
            optimizer.step()
        with torch.no_grad():
            pairs = zip(*(part.split(BATCH) for part in validation), strict=True)
            losses = [triplet_loss(maps, *pair).item() for pair in pairs]
        if np.mean(losses) < best_loss:
            best, best_loss = copy.deepcopy(maps), float(np.mean(losses))
    assert best is not None
    return best_loss


def answer(features, epochs, seeds):
    """Train one head per seed."""
    with np.load(features) as file:
        images, texts = (torch.from_numpy(file[name]) for name in ("images", "captions"))
        held_out = int(file["held_out"])
    training = images[:-held_out], texts[:-held_out]
    validation = images[-held_out:], texts[-held_out:]
    begin = time.perf_counter()
    losses = [train(seed, epochs, training, validation) for seed in range(seeds)]
    return {"seconds": time.perf_counter() - begin, "losses": losses}


if __name__ == "__main__":
    print(json.dumps({"torch": torch.__version__}), flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(**json.loads(line))), flush=True)
