"""The registry, and finding checkpoints by name."""

import json
import shutil
import sys
import zipfile

import pytest
from safetensors.numpy import load_file, save_file

from jclip.checkpoints import (
    PAPER_1,
    REGISTRY,
    ImageConfig,
    describe_checkpoint,
    expand_names,
    load_checkpoint,
)
from jclip.checkpoints import checkpoint as module
from jclip.checkpoints.architectures import ARCHITECTURES
from jclip.checkpoints.locate import Location, locate
from jclip.checkpoints.open_clip import read_config as read_open_clip
from jclip.errors import InputError
from jclip.models import ARCHITECTURES as CLIP_ARCHITECTURES

# The fifteen that were known first, of CLIP alone.
FIRST = [
    *PAPER_1,
    "ViT-L-14-336/openai",
    "ViT-H-14/laion2b_s32b_b79k",
    "ViT-bigG-14/laion2b_s39b_b160k",
    *(f"ViT-{size}/datacomp_xl_s13b_b90k" for size in ("B-32", "B-16", "L-14")),
]


def test_activation_and_mean_belong_to_the_checkpoint():
    first = {name: REGISTRY[name] for name in FIRST}
    quick = {name for name, entry in first.items() if entry.activation == "quick_gelu"}
    openai = {name for name in first if name.endswith("/openai")}
    assert quick == openai | {"ViT-B-32/laion400m_e32"}
    assert len(openai) == 4
    half = {name for name, entry in first.items() if entry.mean == (0.5, 0.5, 0.5)}
    assert half == {"ViT-L-14/laion2b_s32b_b82k"}
    assert half == {name for name, entry in first.items() if entry.std == (0.5, 0.5, 0.5)}
    for name in first.keys() - half:
        entry = first[name]
        # OpenAI's, as its repository has them.
        assert entry.mean == (0.48145466, 0.4578275, 0.40821073)
        assert entry.std == (0.26862954, 0.26130258, 0.27577711)
    for name, entry in first.items():
        assert name.startswith(f"{entry.architecture}/")
        assert entry.image_config == ImageConfig(
            size=336 if "336" in name else 224,
            mean=entry.mean,
            std=entry.std,
            interpolation="bicubic",
            fit="crop",
        )
        assert entry.config.vision.image_size == entry.image_config.size
        assert entry.config.with_activation("gelu") == CLIP_ARCHITECTURES[entry.architecture]


def test_registry_holds_every_tag_whose_tower_loads():
    assert len(REGISTRY) == 107
    for name, entry in REGISTRY.items():
        assert name.split("/")[0] == entry.architecture
        assert entry.image_config.size == entry.config.vision.image_size
        assert entry.hub_id.count("/") == 1
    squashed = {name for name, entry in REGISTRY.items() if entry.fit == "squash"}
    for name in REGISTRY:
        trained_on_squares = any(kind in name for kind in ("SigLIP", "CLIPA", "PE-Core", "dfn5b"))
        assert (name in squashed) == (trained_on_squares or "worldwide-378" in name)
    worldwide = REGISTRY["ViT-H-14-worldwide/metaclip2_worldwide"].config
    assert worldwide.vision.activation == worldwide.text.activation == "quick_gelu"


def test_towers_keep_activations_of_their_own():
    config = REGISTRY["ViT-B-16-SigLIP2/webli"].config
    assert (config.vision.activation, config.text.activation) == ("gelu", "gelu_tanh")
    config = REGISTRY["EVA02-L-14-336/merged2b_s6b_b61k"].config
    assert (config.vision.activation, config.text.activation) == ("silu", "gelu")
    assert config.vision.rotary.scale == 16 / 24


def test_text_formats_belong_to_the_checkpoint():
    formats = {
        "ViT-B-16-SigLIP/webli": ("lower", "canonical_repaired"),
        "ViT-B-16-SigLIP2/webli": ("lower", "canonical_repaired"),
        "ViT-L-14-CLIPA/datacomp1b": ("repaired", "repaired"),
        "PE-Core-B-16/meta": ("none", "none"),
    }
    for name, cleanings in formats.items():
        how = REGISTRY[name].text_format
        assert (how.corrected, how.reference) == cleanings


@pytest.mark.parametrize(
    "name", ["ViT-B-16-SigLIP2", "ViT-B-16-SigLIP2-naflex", "PE-Core-T-16-384"]
)
def test_untrained_networks_of_every_family(name):
    found = describe_checkpoint(f"random:{name}")
    ids = found.tokenizer(["Some text", "A" * 400]).ids
    assert ids.shape == (2, found.config.text.context_length)
    assert ids.max() < found.config.text.vocabulary_size
    assert found.image_config.fit == ("native" if "naflex" in name else "squash")


def test_every_architecture_is_known_by_name():
    for name in ARCHITECTURES:
        assert describe_checkpoint(f"random:{name}").config == ARCHITECTURES[name]
    with pytest.raises(InputError, match="no known architecture; known: ViT-B-16-SigLIP2"):
        describe_checkpoint("random:ViT-B-16-SigLIP2x")


def test_registry_is_that_of_open_clip_where_it_is_installed():
    pretrained = pytest.importorskip("open_clip.pretrained")._PRETRAINED
    factory = pytest.importorskip("open_clip.factory")
    accepted = 0
    for name, tags in pretrained.items():
        values = factory.get_model_config(name)
        try:
            config = read_open_clip(values, name)
        except InputError:
            assert not any(f"{name}/{tag}" in REGISTRY for tag in tags)
            continue
        own = name.removesuffix("-quickgelu")
        assert ARCHITECTURES[own] == (config if own == name else config.with_activation("gelu"))
        assert all(f"{own}/{tag}" in REGISTRY for tag in tags)
        accepted += len(tags)
    total = sum(map(len, pretrained.values()))
    print(f"{accepted} of {total} tags of open_clip are accepted")
    assert accepted >= 126


def test_paper_1_is_nine_checkpoints():
    assert len(PAPER_1) == 9
    assert expand_names(["paper1", "ViT-H-14/laion2b_s32b_b79k", PAPER_1[3]]) == (
        *PAPER_1,
        "ViT-H-14/laion2b_s32b_b79k",
    )


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("ViT-B-32/laion400m_e3", "did you mean ViT-B-32/laion400m_e32"),
        ("ViT-B-32", "did you mean ViT-B-32/"),
        ("ViT-B/32", "did you mean ViT-B-32/openai"),
        ("hf-hub:ViT-B-32", "did you mean ViT-B-32/"),
        ("qqq", "known: ViT-B-32/openai"),
        ("./nowhere", "there is no such folder"),
        ("some/deep/folder", "there is no such folder"),
        ("~/nowhere-at-all", "there is no such folder"),
    ],
)
def test_unknown_names(source, message):
    with pytest.raises(InputError) as caught:
        describe_checkpoint(source)
    assert message in str(caught.value)


def test_folder_without_a_checkpoint(tmp_path):
    with pytest.raises(
        InputError, match=r"neither open_clip_config\.json nor config\.json is there"
    ):
        describe_checkpoint(tmp_path)


def test_folder_without_weights(copy_golden):
    folder = copy_golden("hf_gelu")
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"no weights: model\.safetensors was looked for"):
        describe_checkpoint(folder)


def test_pickles_are_refused_by_default(copy_golden):
    folder = copy_golden("hf_gelu")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"only as pytorch_model\.bin.*see allow_pickle"):
        describe_checkpoint(folder)
    location = locate(str(folder), allow_pickle=True)
    assert (location.weights, location.pickled) == (("pytorch_model.bin",), True)


def test_safetensors_of_another_layout_come_before_pickles(copy_golden):
    folder = copy_golden("hf_gelu")
    (folder / "open_clip_config.json").write_text("{}")
    (folder / "open_clip_pytorch_model.bin").write_bytes(b"")
    location = locate(str(folder), allow_pickle=True)
    assert (location.layout, location.weights) == ("transformers", ("model.safetensors",))


def test_a_folder_is_called_by_its_name(copy_golden):
    folder = copy_golden("open_clip_gelu", into="mine")
    identity = load_checkpoint(folder).identity
    assert (identity.name, identity.source, identity.layout) == ("mine", str(folder), "open_clip")
    assert identity.sha256.keys() == {"open_clip_model.safetensors"}
    assert not identity.random


def test_a_checkpoint_is_shown_in_three_lines(copy_golden):
    checkpoint = load_checkpoint(copy_golden("hf_gelu", into="mine"))
    title, image, text = repr(checkpoint).splitlines()
    assert title.startswith("Checkpoint mine of ") and "(transformers, gelu)" in title
    assert image.startswith("  image tower: ") and text.startswith("  text tower: ")
    assert repr(checkpoint.description) == f"CheckpointDescription {repr(checkpoint)[11:]}"


def test_the_demo_model_is_told_from_a_copy_and_from_others(copy_golden):
    assert describe_checkpoint("demo").identity.is_demo
    assert not describe_checkpoint(copy_golden("hf_gelu", into="demo")).identity.is_demo
    assert not describe_checkpoint("random:ViT-B-32").identity.is_demo


def registered(monkeypatch, folder, name):
    """Make the files of a registered checkpoint those of a folder."""
    location = Location(
        source=name, layout="open_clip", folder=folder, weights=(), repository="some/where"
    )
    monkeypatch.setattr(module, "locate", lambda source, **_: location)
    return describe_checkpoint(name)


def write_b32(folder, **preprocessing):
    model = {
        "embed_dim": 512,
        "vision_cfg": {"image_size": 224, "layers": 12, "width": 768, "patch_size": 32},
        "text_cfg": {"width": 512, "heads": 8, "layers": 12},
    }
    values = {"model_cfg": model, "preprocess_cfg": preprocessing}
    (folder / "open_clip_config.json").write_text(json.dumps(values))


def test_the_registry_wins_and_says_so(monkeypatch, tmp_path):
    write_b32(tmp_path, mean=[0.5, 0.5, 0.5])
    name = "ViT-B-32/laion400m_e32"
    description = registered(monkeypatch, tmp_path, name)
    assert description.config == REGISTRY[name].config
    assert description.image_config == REGISTRY[name].image_config
    assert description.identity.name == name
    assert description.identity.own_activation == "quick_gelu"
    activation, mean = description.identity.notices
    assert activation.endswith("say activation = gelu; the registry's quick_gelu is used.")
    assert "mean = (0.5, 0.5, 0.5)" in mean


def test_files_of_another_network_are_refused(monkeypatch, tmp_path):
    write_b32(tmp_path)
    with pytest.raises(InputError, match="does not hold the network of ViT-B-16/openai"):
        registered(monkeypatch, tmp_path, "ViT-B-16/openai")


def test_a_torchscript_archive_is_refused(copy_golden):
    folder = copy_golden("hf_gelu")
    (folder / "model.safetensors").unlink()
    with zipfile.ZipFile(folder / "ViT-B-32.pt", "w") as archive:
        archive.writestr("ViT-B-32/code/__torch__/multimodal/model.py", "")
        archive.writestr("ViT-B-32/data.pkl", b"")
    with pytest.raises(InputError, match=r"ViT-B-32\.pt is a TorchScript archive"):
        load_checkpoint(folder, allow_pickle=True)


def test_pickle_without_torch_says_what_to_install(copy_golden, monkeypatch):
    folder = copy_golden("hf_gelu")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match=r"needs PyTorch 2\.6 or newer"):
        load_checkpoint(folder, allow_pickle=True)


@pytest.mark.parametrize("nested", [False, True])
def test_pickle_loads_as_safetensors_do(copy_golden, nested):
    torch = pytest.importorskip("torch")
    folder = copy_golden("hf_gelu")
    path = folder / "model.safetensors"
    tensors = {k: torch.from_numpy(v.copy()) for k, v in load_file(path).items()}
    path.unlink()
    if nested:
        tensors = {"state_dict": {f"module.{k}": v for k, v in tensors.items()}, "epoch": 3}
    torch.save(tensors, folder / "pytorch_model.bin")
    clip = load_checkpoint(folder, allow_pickle=True).clip
    assert float(clip.logit_scale[...]) == pytest.approx(2.6592, abs=2)


def test_two_shards_with_one_name_are_refused(copy_golden):
    folder = copy_golden("hf_gelu")
    path = folder / "model.safetensors"
    tensors = load_file(path)
    path.unlink()
    save_file(tensors, folder / "a.safetensors")
    shutil.copyfile(folder / "a.safetensors", folder / "b.safetensors")
    index = {
        "weight_map": {"logit_scale": "a.safetensors", "text_projection.weight": "b.safetensors"}
    }
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match="which another shard holds too"):
        load_checkpoint(folder)
