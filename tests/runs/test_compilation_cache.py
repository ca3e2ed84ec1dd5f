"""Compiled programs are kept where only their user can write, or not at all."""

import os
import stat
import subprocess
import sys

import jax
import pytest

from jclip.runs.compilation_cache import use_compilation_cache

OPTIONS = ("jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs")

COMPILES = """
import jax, sys
from jclip.runs.compilation_cache import use_compilation_cache
assert use_compilation_cache() is None
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
hits = []
jax.monitoring.register_event_listener(lambda event, **_: hits.append(event))
assert jax.jit(lambda x: 2 * x + 1)(3) == 7
print("/jax/compilation_cache/cache_hits" in hits)
"""


@pytest.fixture
def cache_home(tmp_path, monkeypatch):
    """An empty home of caches; JAX's settings are put back afterwards."""
    before = {name: getattr(jax.config, name) for name in OPTIONS}
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    jax.config.update("jax_compilation_cache_dir", None)
    yield tmp_path
    for name, value in before.items():
        jax.config.update(name, value)


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_the_folder_is_made_for_its_user_alone(cache_home):
    assert use_compilation_cache() is None
    folder = cache_home / "jclip" / "xla"
    assert jax.config.jax_compilation_cache_dir == str(folder)
    assert mode_of(folder) == mode_of(folder.parent) == 0o700
    assert use_compilation_cache() is None


@pytest.mark.parametrize("opened", ["jclip/xla", "jclip"])
def test_a_folder_open_to_others_is_not_used(cache_home, opened):
    (cache_home / "jclip" / "xla").mkdir(parents=True, mode=0o700)
    (cache_home / "jclip").chmod(0o700)
    (cache_home / opened).chmod(0o750)
    notice = use_compilation_cache()
    assert notice is not None and f"{cache_home / opened} is open to others (mode 750)" in notice
    assert not jax.config.jax_compilation_cache_dir
    assert mode_of(cache_home / opened) == 0o750


def test_a_folder_of_another_user_is_not_used(cache_home, monkeypatch):
    user = os.getuid()
    monkeypatch.setattr("jclip.runs.compilation_cache.os.getuid", lambda: user + 1)
    notice = use_compilation_cache()
    assert notice is not None and f"{cache_home / 'jclip'} belongs to another user" in notice
    assert not jax.config.jax_compilation_cache_dir


def test_a_home_that_cannot_be_written_is_said(cache_home):
    (cache_home / "jclip").write_text("a file")
    notice = use_compilation_cache()
    assert notice is not None and "not kept between runs" in notice
    assert not jax.config.jax_compilation_cache_dir


@pytest.mark.parametrize("chosen", ["", "/somewhere/else"])
def test_the_users_own_choice_is_left_alone(cache_home, monkeypatch, chosen):
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", chosen)
    assert use_compilation_cache() is None
    assert not (cache_home / "jclip").exists()
    assert not jax.config.jax_compilation_cache_dir


def test_a_second_process_finds_what_the_first_compiled(cache_home):
    command = [sys.executable, "-c", COMPILES]
    said = [subprocess.run(command, capture_output=True, text=True) for _ in range(2)]
    assert [one.stdout.strip() for one in said] == ["False", "True"], said[-1].stderr
    assert said[1].stderr == ""
