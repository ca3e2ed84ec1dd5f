import importlib.util

import pytest

from benchmarks.compile_report.topology import CHIPS, TOPOLOGIES, describe_topology, open_topology
from jclip.errors import InputError


@pytest.mark.parametrize("name", ["v5e", "v5e:4x5", "v9:2x2", ""])
def test_an_unknown_name_is_refused_and_the_known_ones_are_named(name):
    with pytest.raises(InputError, match=f"topology {name}: .*v4:2x2x4.*v5e:4x4"):
        open_topology(name)


def test_every_name_has_its_chip():
    assert {describe_topology(name) for name in TOPOLOGIES} == set(CHIPS.values())
    assert describe_topology("v5e:16x16").hbm_bytes == 16e9


@pytest.mark.tpu_compiler
@pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None, reason="libtpu is not installed (extra tpu)"
)
@pytest.mark.parametrize(("name", "chips"), [("v4:2x2x4", 16), ("v5p:2x2x1", 4), ("v6e:2x4", 8)])
def test_a_device_is_a_chip(name, chips):
    opened = open_topology(name)
    assert opened.mesh.shape == {"data": chips} and opened.one_chip.size == 1
    assert all(device.platform == "tpu" for device in opened.mesh.devices)


def test_a_missing_compiler_is_said_with_how_to_install_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"libtpu.*not installed.*\[tpu\]"):
        open_topology("v5e:4x4")
