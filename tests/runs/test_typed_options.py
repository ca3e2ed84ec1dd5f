"""What holds for every option, whatever the command."""

import dataclasses
from pathlib import Path

import pytest

from jclip.errors import InputError
from jclip.runs.options import ImageOptions, ModelOptions, OutputOptions
from jclip.runs.typed_options import each_option, settled


@dataclasses.dataclass(frozen=True)
class Options:
    image: ImageOptions = dataclasses.field(default_factory=ImageOptions)
    output: OutputOptions = dataclasses.field(default_factory=OutputOptions)
    from_: Path | None = None
    words: tuple[str, ...] = ("a",)


def test_flags_are_those_of_the_command_line():
    found = dict(each_option(Options()))
    assert found["--prompt-prefix"] == "This is " and found["--batch-size"] is None
    assert {"--from", "--words", "--out"} <= {*found} and not dict(each_option(None))


@pytest.mark.parametrize(
    "address", ["gs://bucket/run", "s3://b/c", "hdfs:///x", "file:///tmp/x", "https://a.b/c"]
)
def test_addresses_are_refused_in_every_path(address):
    for options, flag in (
        (Options(output=OutputOptions(out=Path(address))), "--out"),
        (Options(image=ImageOptions(captions=Path(address))), "--captions"),
        (Options(from_=Path(address)), "--from"),
        (ModelOptions(adapter=Path(address)), "--adapter"),
    ):
        with pytest.raises(InputError) as refused:
            settled(options)
        said = str(refused.value)
        assert said.startswith(f"{flag}: {address.replace(':///', '://')} is the address")
        assert "only local" in said
    image = ImageOptions(prompt_prefix=f"{address} ")
    assert settled(Options(image)) == Options(image), "a text may say anything"


@pytest.mark.parametrize("path", ["C:/x", "a:b/c", "demo", "/a/http:/b"])
def test_other_paths_are_taken_as_they_are(path):
    assert settled(Options(from_=Path(path))) == Options(from_=Path(path))


def test_homes_are_found_or_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/of/nobody")
    monkeypatch.chdir(tmp_path)
    assert settled(Options(from_=Path("~/a"))).from_ == Path("/home/of/nobody/a")
    with pytest.raises(InputError, match="--from: ~no-such-user/a: no user has the home"):
        settled(Options(from_=Path("~no-such-user/a")))
    (tmp_path / "~no-such-user").mkdir()
    assert settled(Options(from_=Path("~no-such-user/a"))).from_ == Path("~no-such-user/a")


def test_texts_are_unicode_and_names_of_files_need_not_be(tmp_path):
    for options, flag in (
        (Options(words=("a", "caf\udce9")), "--words"),
        (Options(ImageOptions(prompt_prefix="\ud83d ")), "--prompt-prefix"),
        (Options(ImageOptions(images=("caf\udce9",))), "--images"),
    ):
        with pytest.raises(InputError) as refused:
            settled(options)
        said = str(refused.value)
        assert said.startswith(f"{flag}: ") and said.endswith("not UTF-8")
        said.encode("utf-8")
    folder = tmp_path / "caf\udce9"
    folder.mkdir()
    for name in (str(folder), f"mine={folder}"):
        options = Options(ImageOptions(images=(name,)), from_=folder)
        assert settled(options) == options


@dataclasses.dataclass(frozen=True)
class Seeded:
    seed: int = 0
    seeds: tuple[int, ...] = (0,)
    shifts: int = -1


@pytest.mark.parametrize(
    ("options", "argument"), [(Seeded(seed=-1), "seed"), (Seeded(seeds=(0, -1)), "seeds")]
)
def test_negative_seeds_are_refused(options, argument):
    assert settled(Seeded()) == Seeded()
    with pytest.raises(InputError, match="-1: seeds are not negative") as refused:
        settled(options)
    assert refused.value.argument == argument
