"""Runs that nobody disturbs: what the disturbed ones have to end with."""

import functools

import pytest
import slowed_runs as runs


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory):
    """A function of an experiment: its data, and the results of a run that nobody kills."""

    @functools.cache
    def run(experiment):
        folder = tmp_path_factory.mktemp("undisturbed")
        data = runs.write_panoramas(folder / "panoramas", experiment.panoramas)
        assert experiment.main(data, folder / "run") == 0
        return data, experiment.results(folder / "run")

    return run
