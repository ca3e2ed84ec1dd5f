"""Weights as people save them: files alone, wrapped, with more or other tensors than are meant."""

import json
import sys

import jax
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import load_file, save_file

from jclip.checkpoints import describe_checkpoint, load_checkpoint, load_clip
from jclip.checkpoints.causes import common_prefix
from jclip.errors import InputError
from jclip.files.tensors import PickledTensors

FILES = {"hf_gelu": "model.safetensors", "open_clip_gelu": "open_clip_model.safetensors"}


def same(one, other):
    one, other = (jax.tree.leaves(nnx.state(clip)) for clip in (one, other))
    return len(one) == len(other) and all(map(np.array_equal, one, other))


@pytest.fixture
def edited(copy_golden):
    """A function that copies a golden checkpoint, with its tensors changed, and the original."""

    def edit(name, change):
        folder = copy_golden(name)
        before, path = load_clip(folder), folder / FILES[name]
        save_file({n: np.array(a, order="C") for n, a in change(load_file(path)).items()}, path)
        return folder, before

    return edit


def refusal(folder):
    with pytest.raises(InputError) as caught:
        load_checkpoint(folder)
    message = str(caught.value).replace(str(folder), "FOLDER")
    assert "\n" not in message
    assert len(message) <= 600
    return message


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "model.", "clip.", "module._orig_mod.", "my_net.clip."]
)
def test_one_prefix_is_removed_and_said(edited, name, prefix):
    folder, before = edited(name, lambda known: {prefix + n: a for n, a in known.items()})
    checkpoint = load_checkpoint(folder)
    assert same(checkpoint.clip, before)
    (notice,) = (n for n in checkpoint.identity.notices if "begin with" in n)
    assert notice == f"The names of all tensors begin with {prefix}, which was left out."


def test_names_of_a_tower_are_no_prefix():
    for name in ("visual", "vision_model", "text_model", "transformer"):
        assert common_prefix([f"{name}.a.b", f"{name}.c"]) == ""
        assert common_prefix([f"x.{name}.a.b", f"x.{name}.c"]) == "x."
    assert common_prefix(["a.b"]) == common_prefix([]) == common_prefix(["a", "a.b"]) == ""


@pytest.mark.parametrize("shape", [(1,), (1, 1)])
@pytest.mark.parametrize("name", FILES)
def test_a_scalar_may_be_a_vector_of_one(edited, name, shape):
    folder, before = edited(name, lambda k: k | {"logit_scale": k["logit_scale"].reshape(shape)})
    assert same(load_clip(folder), before)
    tensors = load_file(folder / FILES[name])
    save_file(tensors | {"logit_scale": np.ones(2, np.float32)}, folder / FILES[name])
    assert "misshapen: logit_scale (2,) for ()" in refusal(folder)


def test_what_openai_s_files_say_of_themselves_is_dropped(edited):
    facts = {"input_resolution": 64, "context_length": 77, "vocab_size": 520}
    arrays = {name: np.array(value) for name, value in facts.items()}
    folder, before = edited("open_clip_gelu", lambda known: known | arrays)
    assert same(load_clip(folder), before)


def test_defaults_spelled_out_are_absent(copy_golden):
    folder = copy_golden("open_clip_gelu")
    before = describe_checkpoint(folder)
    path = folder / "open_clip_config.json"
    values = json.loads(path.read_text())
    off = {"global_average_pool": False, "input_patchnorm": False, "attentional_pool": False}
    off |= {"timm_model_name": "", "final_ln_after_pool": False, "output_tokens": False}
    values["model_cfg"]["vision_cfg"] |= off
    off = {"hf_tokenizer_name": "", "hf_model_name": "", "tokenizer_kwargs": {}}
    values["model_cfg"]["text_cfg"] |= off | {"embed_cls": False, "proj_bias": False}
    path.write_text(json.dumps(values))
    assert describe_checkpoint(folder).config == before.config
    values["model_cfg"]["vision_cfg"]["global_average_pool"] = True
    path.write_text(json.dumps(values))
    with pytest.raises(InputError, match=r"vision_cfg\.global_average_pool = True"):
        describe_checkpoint(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_file_alone_is_read_with_the_configuration_beside_it(copy_golden, name):
    folder = copy_golden(name)
    before = load_clip(folder)
    other = (folder / FILES[name]).rename(folder / "epoch_3.safetensors")
    checkpoint = load_checkpoint(other)
    assert same(checkpoint.clip, before)
    assert checkpoint.identity.name == "epoch_3"
    assert checkpoint.identity.source == str(other.resolve())


def test_a_file_of_the_usual_name_is_its_folder(copy_golden):
    folder = copy_golden("hf_gelu")
    ours, theirs = (describe_checkpoint(s) for s in (folder / "model.safetensors", folder))
    assert ours.identity == theirs.identity


def test_a_file_alone_without_a_configuration_needs_an_architecture(copy_golden, tmp_path):
    folder = copy_golden("hf_gelu")
    path = (folder / "model.safetensors").rename(tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=r"no config\.json.*known: ViT-B-32.*see architecture"):
        describe_checkpoint(path)
    (tmp_path / "open_clip_config.json").write_text("{}")
    with pytest.raises(InputError, match=r"has names of transformers, and open_clip_config\.json"):
        describe_checkpoint(path)
    for name, activation in (("ViT-B-32", "gelu"), ("ViT-B-32-quickgelu", "quick_gelu")):
        description = describe_checkpoint(path, architecture=name)
        assert description.identity.activation == activation
        assert description.image_config.size == 224
        notice, preparation = description.identity.notices
        assert f"{activation} is taken, as its architecture is {name}" in notice
        assert "CLIP's way is taken" in preparation
    # It is another network than that, which loading finds out.
    with pytest.raises(InputError, match=r"not hold the network it describes \(it has blocks"):
        load_checkpoint(path, architecture="ViT-B-32")
    with pytest.raises(InputError, match="'ViT-X' is no known architecture; known: ViT-B-32"):
        describe_checkpoint(path, architecture="ViT-X")


@pytest.mark.parametrize("source", ["demo", "ViT-B-32/openai", "FOLDER", "org/name"])
def test_an_architecture_is_for_files_alone(copy_golden, source):
    source = str(copy_golden("hf_gelu")) if source == "FOLDER" else source
    with pytest.raises(InputError, match=r"is not a file of weights.*\(see architecture\)"):
        describe_checkpoint(source, architecture="ViT-B-32")


def test_a_pickle_alone_is_refused_unless_allowed(copy_golden, monkeypatch):
    folder = copy_golden("open_clip_gelu")
    path = (folder / "open_clip_model.safetensors").rename(folder / "epoch_3.pt")
    with pytest.raises(InputError, match=r"only as epoch_3\.pt.*see allow_pickle"):
        describe_checkpoint(path)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match=r"needs PyTorch 2\.6 or newer"):
        describe_checkpoint(path, allow_pickle=True)


@pytest.mark.parametrize("key", [None, "state_dict", "model_state_dict", "model", "module"])
def test_a_training_checkpoint_alone_loads_as_safetensors_do(copy_golden, key):
    torch = pytest.importorskip("torch")
    folder = copy_golden("open_clip_gelu")
    before, path = load_clip(folder), folder / "open_clip_model.safetensors"
    tensors = {f"module.{n}": torch.from_numpy(a.copy()) for n, a in load_file(path).items()}
    torch.save({key: tensors, "epoch": 3} if key else tensors, folder / "epoch_3.pt")
    checkpoint = load_checkpoint(folder / "epoch_3.pt", allow_pickle=True)
    assert same(checkpoint.clip, before)
    assert any("begin with module." in notice for notice in checkpoint.identity.notices)
    assert PickledTensors([folder / "epoch_3.pt"]).shapes.keys() == tensors.keys()


def test_two_layouts_in_a_folder_are_said(copy_golden):
    folder = copy_golden("open_clip_gelu")
    assert not describe_checkpoint(folder).location.notices
    for path in copy_golden("hf_gelu", into="other").iterdir():
        path.rename(folder / path.name)
    description = describe_checkpoint(folder)
    assert description.identity.layout == "open_clip"
    assert description.location.notices == (
        f"{folder} holds two layouts: open_clip_config.json with open_clip_model.safetensors was "
        "read, config.json was not.",
    )
    assert description.location.notices[0] in description.identity.notices


def test_names_of_the_other_layout_are_the_cause(copy_golden):
    folder, other = copy_golden("hf_gelu"), copy_golden("open_clip_gelu", into="other")
    (other / FILES["open_clip_gelu"]).rename(folder / "model.safetensors")
    message = refusal(folder)
    assert "(its names are those of open_clip, and the configuration is of transformers)" in message
    assert "missing: " in message and " more" in message


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda k: {n: a for n, a in k.items() if "text" not in n}, "it holds the image tower al"),
        (lambda k: {n: a for n, a in k.items() if "vis" not in n}, "it holds the text tower alone"),
        (
            lambda k: (
                {n.replace("mlp.fc1.", "mlp.fc1.base_layer."): a for n, a in k.items()}
                | {"vision_model.encoder.layers.0.mlp.fc1.lora_A.weight": np.ones((4, 64), "f")}
            ),
            "it holds a LoRA adapter that is not merged",
        ),
        (
            lambda k: {n: a for n, a in k.items() if ".layers.2." not in n},
            "it has blocks up to number 1, where 2 is the last one expected",
        ),
        (
            lambda k: {f"clip.{n}": a for n, a in k.items()} | {"head.weight": np.ones((2, 3))},
            "names begin with clip.",
        ),
        (
            lambda k: {n.replace("fc1.weight", "fc1.qweight"): a for n, a in k.items()},
            "its weights are quantised",
        ),
        (lambda k: {"x": np.ones(3)}, "missing: logit_scale, "),
    ],
)
def test_the_likely_cause_is_said_in_a_few_lines(edited, change, cause):
    assert cause in refusal(edited("hf_gelu", change)[0])


def test_a_file_that_holds_no_clip_is_refused(tmp_path):
    save_file({"weight": np.ones(3)}, tmp_path / "a.safetensors")
    with pytest.raises(InputError, match="holds no CLIP"):
        describe_checkpoint(tmp_path / "a.safetensors")
    (tmp_path / "b.safetensors").write_bytes(b"junk")
    with pytest.raises(InputError, match=r"b\.safetensors cannot be read as safetensors"):
        describe_checkpoint(tmp_path / "b.safetensors")
