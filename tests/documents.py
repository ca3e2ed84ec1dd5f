"""What the examples of docstrings and documents refer to: pictures and an adapter in a folder."""

import shutil
from importlib import resources
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from flax import nnx
from PIL import Image

from jclip.adapters.lora import LoRAConfig, adapted_layers, add_adapter
from jclip.checkpoints import load_checkpoint
from jclip.checkpoints.peft import save_adapter


def _write_adapter(folder):
    """An adapter of the demo model that changes what it computes."""
    clip = add_adapter(load_checkpoint("demo").clip, LoRAConfig(rank=2), nnx.Rngs(0))
    for number, layer in enumerate(adapted_layers(clip).values()):
        noise = np.random.default_rng(number).normal(size=layer.lora_b[...].shape)
        layer.lora_b[...] = jnp.asarray(0.05 * noise, jnp.float32)
    save_adapter(clip, folder)


def write_documents_files(folder):
    """`panorama.jpg` [256, 512], `photo.jpg` [120, 160], `my_lora` and `my_siglip`."""
    with Image.open(str(resources.files("jclip.data") / "samples" / "city.jpg")) as image:
        image.convert("RGB").resize((512, 256)).save(folder / "panorama.jpg")
    pixels = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "photo.jpg")
    _write_adapter(folder / "my_lora")
    shutil.copytree(Path(__file__).parent / "golden" / "siglip", folder / "my_siglip")
