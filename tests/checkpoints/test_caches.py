"""Hub caches as people have them: in part, tidied up by hand, filled through a mirror."""

import hashlib
import json

import pytest
from huggingface_hub import constants

from jclip.checkpoints import describe_checkpoint, load_checkpoint
from jclip.errors import InputError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
WEIGHTS = "model.safetensors"


def git_id(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def sha1(content):
    return hashlib.sha1(content).hexdigest()


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def cache(copy_golden, tmp_path, monkeypatch):
    """A function that makes a cache of org/clip offline, as the hub's library lays it out.

    `small` and `large` name the blobs; `listed` are in the repository and were not downloaded.
    """
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    def make(name="hf_full", *, small=git_id, large=sha256, listed=(), tree=True):
        source = copy_golden(name)
        root = tmp_path / "cache" / "models--org--clip"
        snapshot = root / "snapshots" / COMMIT
        for folder in (root / "blobs", root / "refs", root / "trees", snapshot):
            folder.mkdir(parents=True)
        (root / "refs" / "main").write_text(COMMIT)
        known = {name: {"size": 2, "blob_id": git_id(b"{}")} for name in listed}
        for path in sorted(source.iterdir()):
            content = path.read_bytes()
            blob = (large if path.suffix == ".safetensors" else small)(content)
            (root / "blobs" / blob).write_bytes(content)
            (snapshot / path.name).symlink_to(f"../../blobs/{blob}")
            known[path.name] = {"size": len(content), "blob_id": git_id(content)}
        if tree:
            record = {"format_version": 1, "files": known}
            (root / "trees" / f"{COMMIT}.json").write_text(json.dumps(record))
        return snapshot

    return make


@pytest.mark.parametrize(
    "listed",
    [
        ["tokenizer_config.json"],
        ["special_tokens_map.json", "README.md", "tf_model.h5", "pytorch_model.bin"],
        ["open_clip_config.json", "open_clip_model.safetensors", "processor_config.json"],
        ["pytorch_model.bin.index.json", "merges.txt"],
    ],
)
def test_what_is_not_needed_may_be_missing(cache, listed):
    cache(listed=listed)
    checkpoint = load_checkpoint("org/clip")
    assert checkpoint.identity.source == f"org/clip@{COMMIT}"
    assert checkpoint.tokenizer(["a dog"]).ids[0, 1:3].tolist() == [320, 1929]


def test_what_is_needed_is_named_where_it_is_missing(cache):
    snapshot = cache()
    (snapshot / "preprocessor_config.json").unlink()
    with pytest.raises(
        InputError, match=r"org/clip: preprocessor_config\.json is not in the hub's"
    ):
        describe_checkpoint("org/clip")


@pytest.mark.parametrize("listed", [["tokenizer.json"], ["vocab.json", "merges.txt"]])
def test_a_tokenizer_that_is_missing_is_named_by_whoever_needs_it(cache, listed):
    cache(listed=listed)
    checkpoint = load_checkpoint("org/clip")
    with pytest.raises(InputError, match=rf"org/clip: {sorted(listed)[0]} is not in the hub"):
        _ = checkpoint.tokenizer


@pytest.mark.parametrize("name", ["tf_model.h5", "pytorch_model.bin", "flax_model.msgpack"])
def test_links_to_nothing_do_not_count(cache, name):
    snapshot = cache()
    (snapshot / name).symlink_to(f"../../blobs/{'e' * 64}")
    for source in ("org/clip", snapshot):
        assert load_checkpoint(source).identity.sha256


@pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", WEIGHTS])
def test_links_to_nothing_where_a_file_is_needed_are_refused_by_name(cache, name):
    snapshot = cache()
    (snapshot / name).resolve().unlink()
    for source in ("org/clip", snapshot):
        with pytest.raises(InputError, match=rf"{name}.*leads? nowhere|nowhere: {name}"):
            describe_checkpoint(source)


@pytest.mark.parametrize("tree", [True, False])
@pytest.mark.parametrize(
    ("small", "large"),
    [
        (sha1, sha256),
        (sha256, sha256),
        (sha1, sha1),
        (lambda content: hashlib.md5(content).hexdigest(), sha256),
        (lambda content: f"{sha1(content)}-2", lambda content: f"W-{sha1(content)}"),
    ],
)
def test_mirrors_may_call_files_otherwise(cache, small, large, tree):
    cache(small=small, large=large, tree=tree)
    assert load_checkpoint("org/clip").identity.sha256


def test_a_mirror_s_own_ids_are_fine_where_the_cache_knows_those_of_git(cache):
    cache(small=lambda content: sha1(b"something else" + content))
    assert load_checkpoint("org/clip").identity.sha256


@pytest.mark.parametrize("tree", [True, False])
def test_weights_called_by_another_sha_256_are_refused(cache, tree):
    cache(large=lambda content: sha256(content + b"1"), tree=tree)
    with pytest.raises(InputError, match=r"org/clip: model\.safetensors is damaged"):
        load_checkpoint("org/clip")


def test_small_files_that_changed_are_refused(cache):
    snapshot = cache(small=sha1)
    blob = (snapshot / "config.json").resolve()
    blob.write_bytes(blob.read_bytes() + b" ")
    with pytest.raises(InputError, match=r"org/clip: config\.json is damaged"):
        load_checkpoint("org/clip")


def test_damage_of_what_is_not_read_does_not_matter(cache):
    snapshot = cache(listed=["vocab.json"])
    (snapshot.parent.parent / "blobs" / ("0" * 40)).write_text("{}")
    (snapshot / "vocab.json").symlink_to(f"../../blobs/{'0' * 40}")
    (snapshot / "pytorch_model.bin").symlink_to(f"../../blobs/{'0' * 40}")
    assert load_checkpoint("org/clip").identity.sha256


def test_revisions_are_those_of_the_cache(cache):
    snapshot = cache()
    (snapshot.parent.parent / "refs" / "v1").write_text(COMMIT)
    for source in ("org/clip@v1", f"org/clip@{COMMIT}"):
        assert describe_checkpoint(source).identity.name == source
    with pytest.raises(InputError, match="org/clip is not in the hub's cache"):
        describe_checkpoint("org/clip@v2")


def test_unreadable_notes_of_the_cache_are_not_needed(cache):
    snapshot = cache()
    (snapshot.parent.parent / "trees" / f"{COMMIT}.json").write_text("{}")
    assert load_checkpoint("org/clip").identity.sha256
