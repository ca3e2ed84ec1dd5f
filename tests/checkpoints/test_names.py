"""What people write for a checkpoint: names of other tools, addresses, files, ids that are none."""

import os
import re
import subprocess
import sys

import pytest
from huggingface_hub import constants

from jclip.checkpoints import describe_checkpoint
from jclip.checkpoints.names import hub_id_of, path_of
from jclip.errors import InputError


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("ViT-B/32", "ViT-B/32 is OpenAI's name: did you mean ViT-B-32/openai?"),
        ("vit-l/14", "did you mean ViT-L-14/openai?"),
        ("ViT-L/14@336px", "did you mean ViT-L-14-336/openai?"),
        ("ViT-H/14", "did you mean ViT-H-14/laion2b_s32b_b79k?"),
        ("RN50x16", "RN50x16 is a ResNet, which is not supported"),
        ("RN50/openai", "is a ResNet"),
        ("ViT-B-32-quickgelu", "did you mean ViT-B-32/openai or ViT-B-32/laion400m_e32?"),
        ("ViT-B-32-quickgelu/laion400m_e32", "did you mean ViT-B-32/laion400m_e32?"),
        ("ViT-B-32:openai", "did you mean ViT-B-32/openai?"),
        ("vit-b-32/OpenAI", "did you mean ViT-B-32/openai?"),
        ("ViT-B-32, openai", "did you mean ViT-B-32/openai?"),
        ("ckpt/model.safetensors", "is no file here; .* by its folder, ckpt, or an existing file"),
        ("ckpt/run/epoch_3.pt", "is no file here; .* by its folder, ckpt/run, or"),
        ("ckpt/config.json", "is no file here; .* by its folder, ckpt"),
        ("org/some--model", "org/some--model is no hub id"),
        ("org/model.git", "org/model.git is no hub id"),
        ("org/a..b", "is no hub id"),
        ("caf\u00e9/clip", "is no hub id"),
        ("org/" + "x" * 120, "is no hub id"),
        ("org/-name", "is no hub id"),
        ("hf-hub:name", "no hub id"),
        ("org/name@", "no revision after the @"),
        ("gs://bucket/run", "only folders of this machine and hub ids"),
        ("https://example.com/a/b", "only folders of this machine and hub ids"),
        ("clip-vit-base-patch32", r"no hub id \(ORGANISATION/NAME\)"),
        ("datasets/org/name", "there is no such folder"),
        ("~no-such-person/clip", "there is no such folder"),
        ("x" * 300, "there is no such folder"),
        ("a\0b", "no hub id"),
        ("", "an empty name"),
        (" ", "an empty name"),
    ],
)
def test_what_is_no_name_here_is_refused_with_what_to_write(monkeypatch, source, message):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=message) as caught:
        describe_checkpoint(source)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    ("source", "repository", "revision"),
    [
        ("org/name", "org/name", None),
        ("org/name@v1.0", "org/name", "v1.0"),
        ("org/name@refs/pr/3", "org/name", "refs/pr/3"),
        ("hf-hub:laion/CLIP-ViT-B-32-laion2B-s34B-b79K",) * 2 + (None,),
        ("hf_hub:org/name@main", "org/name", "main"),
        ("hf://org/name", "org/name", None),
        ("hf://models/org/name", "org/name", None),
        ("https://huggingface.co/org/name", "org/name", None),
        ("https://huggingface.co/org/name/", "org/name", None),
        ("https://hf.co/org/name?library=transformers", "org/name", None),
        ("https://huggingface.co/org/name/tree/main", "org/name", "main"),
        ("https://huggingface.co/org/name/blob/abc/config.json", "org/name", "abc"),
        ("openai/clip-vit-base-patch32", "openai/clip-vit-base-patch32", None),
        ("timm/vit_base_patch32_clip_224.openai", "timm/vit_base_patch32_clip_224.openai", None),
    ],
)
def test_hub_ids_in_every_form(source, repository, revision):
    assert hub_id_of(source) == (repository.removeprefix("hf-hub:"), revision)


def test_folders_in_other_forms(copy_golden):
    folder = copy_golden("hf_gelu")
    for source in (f"local-dir:{folder}", f"file://{folder}", f"{folder}/"):
        assert path_of(source) == folder
        assert describe_checkpoint(source).identity.name == "checkpoint"


def test_files_that_are_no_weights_are_refused_with_the_folder(copy_golden):
    folder = copy_golden("hf_gelu")
    for name in ("config.json", "preprocessor_config.json"):
        with pytest.raises(InputError, match=f"is a file, and none of weights .*folder, {folder}"):
            describe_checkpoint(folder / name)


def test_folders_that_are_something_else_are_refused_by_what_they_are(copy_golden, tmp_path):
    folder = copy_golden("hf_gelu")
    (folder / "config.json").rename(folder / "adapter_config.json")
    with pytest.raises(InputError, match="holds a LoRA adapter and no checkpoint"):
        describe_checkpoint(folder)
    (folder / "adapter_config.json").unlink()
    with pytest.raises(InputError, match=r"a file alone is called by its own name, .*model\.safet"):
        describe_checkpoint(folder)
    (tmp_path / "models--org--name" / "snapshots").mkdir(parents=True)
    with pytest.raises(InputError, match="is a folder of the hub's cache: it is called org/name"):
        describe_checkpoint(tmp_path / "models--org--name")


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"ALL_PROXY": "socks5://127.0.0.1:9"}, "through the proxy that ALL_PROXY .*SOCKS"),
        ({"HTTPS_PROXY": "nonsense"}, "through the proxy that HTTPS_PROXY"),
        ({"https_proxy": "http://me:secret@127.0.0.1:9"}, "through the proxy that HTTPS_PROXY"),
        ({"HTTPS_PROXY": "foo://me:secret@127.0.0.1:9"}, "through the proxy that HTTPS_PROXY"),
        ({"HF_ENDPOINT": "nonsense"}, "could not be downloaded"),
        ({"HF_TOKEN": "caf\u00e9 \n x"}, "org/name "),
        ({"SSL_CERT_FILE": "/nowhere"}, "org/name "),
    ],
)
def test_an_environment_in_which_the_hub_cannot_be_asked_is_one_line(tmp_path, variables, message):
    code = "from jclip.checkpoints.locate import locate; locate('org/name')"
    kept = {k: v for k, v in os.environ.items() if "proxy" not in k.lower() and k[:3] != "HF_"}
    end = {"HF_HOME": str(tmp_path), "HF_ENDPOINT": "https://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=kept | end | variables,
        capture_output=True,
        text=True,
        timeout=120,
    )
    last = done.stderr.strip().splitlines()[-1]
    assert re.search(f"InputError: .*{message}", last), done.stderr
    assert "secret" not in last
