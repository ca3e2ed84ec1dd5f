"""Runs that nobody disturbs: what the disturbed ones have to end with."""

import functools

import pytest


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """A function of a run: its data, and the results of a run that nobody kills."""

    @functools.cache
    def undisturbed(run):
        folder = tmp_path_factory.mktemp("undisturbed")
        data = run.write_pictures(folder / "pictures")
        assert run.main(data, folder / "run") == 0
        return data, run.results(folder / "run")

    return undisturbed
