"""The paper's fine-tuning step in PyTorch, for `benchmarks.lora_step`; run by a Python that has it.

A request `{"steps": N}` is answered by the seconds that N steps took. A step is what paper 1's code
does: the text tower twice, the image tower on the panoramas and their
shifted copies together, Charbonnier losses, AdamW on the adapter, gradients clipped.
"""

# pyright: reportMissingImports=false
import json
import sys
import time

import open_clip
import torch
from peft import LoraConfig, get_peft_model

BATCH = int(sys.argv[1])
TARGETS = ["in_proj", "out_proj", "c_fc"]


def charbonnier(a, b):
    """Mean of sqrt((a - b)^2 + 1e-6)."""
    return torch.sqrt((a - b) ** 2 + 1e-6).mean()


def main() -> None:
    """Build the model, then take steps as asked."""
    torch.manual_seed(0)
    model = open_clip.create_model("ViT-B-32", pretrained=None)
    model.requires_grad_(False)
    config = LoraConfig(r=8, lora_alpha=16, lora_dropout=0.1, target_modules=TARGETS)
    model.visual = get_peft_model(model.visual, config)
    model.train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-5, weight_decay=0.01)
    original, shifted = torch.randn(2, BATCH, 3, 224, 224)
    tokens = open_clip.tokenize([f"This is a 360 degree view of room {i}" for i in range(BATCH)])
    frozen = torch.randn(BATCH)

    def normalised(x):
        return torch.nn.functional.normalize(x, dim=-1)

    def step() -> None:
        optimizer.zero_grad()
        images = normalised(model.encode_image(torch.cat([original, shifted])))
        texts = [normalised(model.encode_text(tokens)) for _ in range(2)]
        before, after = (100 * (x * t).sum(-1) for x, t in zip(images.chunk(2), texts, strict=True))
        loss = 0.5 * charbonnier(after, before) + 0.5 * charbonnier(after, frozen)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()

    step()
    print(json.dumps({"torch": torch.__version__}), flush=True)
    for line in sys.stdin:
        begun = time.perf_counter()
        for _ in range(json.loads(line)["steps"]):
            step()
        print(json.dumps({"seconds": time.perf_counter() - begun}), flush=True)


if __name__ == "__main__":
    main()
