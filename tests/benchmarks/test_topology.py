import importlib.util
from importlib.metadata import PackageNotFoundError

import jax
import pytest

from benchmarks.compile_report import topology
from benchmarks.compile_report.chips import CHIPS, GPUS
from benchmarks.compile_report.topology import TOPOLOGIES, describe_topology, open_topology
from jclip.errors import InputError

needs_gpu_compiler = pytest.mark.skipif(
    importlib.util.find_spec("jax_cuda13_plugin") is None,
    reason="jax-cuda13-plugin is not installed (extra cuda)",
)


@pytest.mark.parametrize("name", ["v9:2x2", "h100s:8", ""])
def test_an_unknown_chip_is_refused_and_the_known_ones_are_named(name):
    with pytest.raises(InputError, match=f"{name}: .*v4, v5e, .*h100, .*l4"):
        open_topology(name)


@pytest.mark.parametrize(
    ("name", "known"), [("v5e", "v5e:4x4"), ("v5e:4x5", "v5e:4x4"), ("h100:3", "h100:1, h100:2")]
)
def test_an_unknown_number_of_chips_is_refused_and_those_of_the_chip_are_named(name, known):
    with pytest.raises(InputError, match=f"{name}: not one of .*{known}") as refused:
        open_topology(name)
    assert refused.value.argument == "topology"
    assert all(
        name.split(":")[0] in one for one in refused.value.message.split("one of ")[1].split(", ")
    )


def test_every_name_has_its_chip():
    assert [describe_topology(f"{name}:1") for name in GPUS] == list(GPUS.values())
    assert {id(describe_topology(name)) for name in TOPOLOGIES} == {id(c) for c in CHIPS.values()}
    assert describe_topology("v5e:16x16").hbm_bytes == 16e9


def test_what_a_card_is_held_against_is_near_what_the_compiler_is_told():
    for card in GPUS.values():
        assert card.compiler["device_memory_size"] == pytest.approx(card.hbm_bytes, rel=0.08)
        text = card.target("9.10.0.3", "13.0.0")
        major, minor = card.capability
        assert f"major: {major} minor: {minor}" in text and f'"{card.card}"' in text
        # Products of half precision per clock and core: 512 to 4,096 on all matrix units so far.
        rate = card.compiler["clock_rate_ghz"] * 1e9 * card.compiler["core_count"]
        assert 256 <= card.peak_flops / 2 / rate <= 4096


@pytest.mark.tpu_compiler
@pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None, reason="libtpu is not installed (extra tpu)"
)
@pytest.mark.parametrize(("name", "chips"), [("v4:2x2x4", 16), ("v5p:2x2x1", 4), ("v6e:2x4", 8)])
def test_a_device_is_a_chip(name, chips):
    opened = open_topology(name)
    assert opened.mesh.shape == {"data": chips} and opened.one_chip.size == 1
    assert all(device.platform == "tpu" for device in opened.mesh.devices)


@pytest.mark.gpu_compiler
@needs_gpu_compiler
@pytest.mark.parametrize(("name", "cards"), [("h100:8", 8), ("h100:16", 16), ("l4:1", 1)])
def test_a_device_is_a_card(name, cards):
    opened = open_topology(name)
    assert opened.mesh.shape == {"data": cards} and opened.one_chip.size == 1
    kind = name.split(":")[0]
    assert {device.device_kind for device in opened.mesh.devices} == {GPUS[kind].card}
    assert len({device.process_index for device in opened.mesh.devices}) == max(1, cards // 8)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("v5e:4x4", r"libtpu.*TPUs.*not installed.*\[tpu\]"),
        ("h100:8", r"jax-cuda13-plugin.*GPUs.*not installed.*\[cuda\]"),
    ],
)
def test_a_missing_compiler_is_said_with_how_to_install_it(name, message, monkeypatch):
    def missing(package):
        raise PackageNotFoundError(package)

    monkeypatch.setattr(topology, "version", missing)
    with pytest.raises(InputError, match=message):
        open_topology(name)


def test_what_the_library_cannot_describe_is_said_in_its_own_words(monkeypatch):
    def refuse(*_, **__):
        raise jax.errors.JaxRuntimeError("INVALID_ARGUMENT: no such\ntopology")

    monkeypatch.setattr(topology, "version", lambda package: "9.1.0")
    monkeypatch.setattr(topology.topologies, "get_topology_desc", refuse)
    with pytest.raises(InputError, match=r"h100:8: jax-cuda13-plugin.*no such topology") as refused:
        open_topology("h100:8")
    assert refused.value.argument == "topology"
