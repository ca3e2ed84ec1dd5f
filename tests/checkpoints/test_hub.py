"""Checkpoints by hub id, from a hub served on loopback."""

import os
import subprocess
import sys

import pytest
from huggingface_hub import constants, file_download
from small_hub import COMMIT, SmallHub

from jclip.checkpoints import describe_checkpoint, load_checkpoint
from jclip.errors import InputError
from jclip.files.digests import sha256

NAME = "org/clip"


def use_endpoint(monkeypatch, endpoint):
    template = f"{endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


@pytest.fixture
def hub(tmp_path, copy_golden, monkeypatch):
    """A hub with one checkpoint, the only one this process knows, and an empty cache."""
    (tmp_path / "hub" / "org").mkdir(parents=True)
    copy_golden("hf_gelu").rename(tmp_path / "hub" / NAME)
    server = SmallHub(tmp_path / "hub")
    # The library reads its environment when it is imported; these are what it keeps of it.
    use_endpoint(monkeypatch, server.endpoint)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    # Small chunks, so that something of a small file has arrived when the connection breaks.
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 50_000)
    monkeypatch.setattr(file_download.time, "sleep", lambda seconds: None)
    yield server
    server.shutdown()
    server.server_close()


def digest(hub):
    return {"model.safetensors": sha256(hub.root / NAME / "model.safetensors")}


def downloads(hub):
    """The Range header of each download of the weights."""
    weights = "model.safetensors"
    return [part for method, path, part in hub.requests if method == "GET" and weights in path]


def test_weights_are_downloaded_only_to_be_loaded_and_only_once(hub):
    description = describe_checkpoint(NAME)
    assert (description.identity.name, description.identity.source) == (NAME, f"{NAME}@{COMMIT}")
    assert downloads(hub) == []
    assert load_checkpoint(description).identity.sha256 == digest(hub)
    assert load_checkpoint(NAME).identity.sha256 == digest(hub)
    assert downloads(hub) == [None]


def test_offline_uses_the_cache_and_nothing_else(hub, monkeypatch):
    load_checkpoint(NAME)
    asked = len(hub.requests)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert load_checkpoint(NAME).identity.sha256 == digest(hub)
    with pytest.raises(InputError, match=r"org/other is not in the hub's cache.*offline mode"):
        describe_checkpoint("org/other")
    assert len(hub.requests) == asked


def test_configuration_alone_in_the_cache_is_not_enough_offline(hub, monkeypatch):
    describe_checkpoint(NAME)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=r"holds no weights: model\.safetensors was looked for"):
        describe_checkpoint(NAME)


def test_an_unreachable_hub_is_no_obstacle_to_what_is_in_the_cache(hub, monkeypatch):
    load_checkpoint(NAME)
    use_endpoint(monkeypatch, "http://127.0.0.1:9")
    assert load_checkpoint(NAME).identity.sha256 == digest(hub)
    with pytest.raises(InputError, match="org/other is not in the hub's cache"):
        describe_checkpoint("org/other")


def test_unknown_repository(hub):
    with pytest.raises(InputError, match="org/nothing was not found on the hub"):
        describe_checkpoint("org/nothing")


def test_an_interrupted_download_is_resumed(hub):
    hub.cut_after, hub.cuts = 300_000, 1
    assert load_checkpoint(NAME).identity.sha256 == digest(hub)
    first, second = downloads(hub)
    assert first is None
    assert 100_000 <= int(second.removeprefix("bytes=").rstrip("-")) <= 300_000


def test_a_connection_that_keeps_breaking_is_a_clear_error(hub):
    hub.cut_after, hub.cuts = 0, 1000
    with pytest.raises(InputError, match=r"org/clip could not be downloaded: .*; run again"):
        load_checkpoint(NAME)
    hub.cuts = 0
    assert load_checkpoint(NAME).identity.sha256 == digest(hub)


def test_a_damaged_download_is_refused(hub):
    hub.damaged = True
    with pytest.raises(InputError, match=r"org/clip: model\.safetensors is damaged") as caught:
        load_checkpoint(NAME)
    # The file to delete is named, and deleting it is the cure.
    os.remove(str(caught.value).partition("delete ")[2].partition(" and run again")[0])
    hub.damaged = False
    assert load_checkpoint(NAME).identity.sha256 == digest(hub)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_file_damaged_in_the_cache_is_refused(hub, tmp_path, name):
    load_checkpoint(NAME)
    (snapshot,) = (tmp_path / "cache").glob("models--*/snapshots/*")
    blob = (snapshot / name).resolve()
    content = blob.read_bytes()
    blob.write_bytes(content.replace(b"1e-05", b"1e-04")[:-1] + content[-1:])
    if name == "model.safetensors":
        blob.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    # The cache's own folder is a checkpoint too.
    for source in (NAME, snapshot):
        with pytest.raises(InputError, match=rf"{name} is damaged .*; delete {blob} and run again"):
            load_checkpoint(source)
    blob.write_bytes(content)
    assert load_checkpoint(snapshot).identity.sha256 == digest(hub)


def test_weights_missing_on_the_hub_are_noticed_before_loading(hub):
    (hub.root / NAME / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"holds no weights: model\.safetensors was looked for"):
        describe_checkpoint(NAME)


def test_the_environment_is_honoured(hub, tmp_path):
    code = f"from jclip.checkpoints.locate import locate; print(locate({NAME!r}).folder)"
    settings = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "home")}
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "TRANSF"))}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=inherited | settings,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().startswith(str(tmp_path / "home"))
    assert hub.requests
