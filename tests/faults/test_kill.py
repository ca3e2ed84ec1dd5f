"""Killed with -9 at a random moment and started again, a run ends as if nothing had happened.

Two kills of each experiment are part of every test run, twenty under the marker `many_kills`.
"""

import random

import pytest
import slowed_runs as runs

# How long each works, about, from the moment it opens its folder; kills fall into that.
SECONDS = {runs.Sweep: 6.0, runs.Features: 6.0, runs.Tuning: 12.0}


@pytest.mark.parametrize("experiment", SECONDS, ids=lambda experiment: experiment.name)
@pytest.mark.parametrize(
    "attempt", [0, 1, *(pytest.param(i, marks=pytest.mark.many_kills) for i in range(2, 20))]
)
def test_a_killed_run_ends_with_the_same_results(undisturbed, experiment, attempt, tmp_path):
    data, expected = undisturbed(experiment)
    out, chance = tmp_path / "run", random.Random()
    for _ in range(1 + attempt % 2):
        seconds = chance.uniform(0, SECONDS[experiment])
        print(f"killed {seconds:.3f} s after the start")
        runs.kill_after_start(experiment, data, out, seconds)
    assert experiment.main(data, out) == 0
    runs.assert_same(experiment.results(out), expected)
    assert not (out / "parts").exists() and not list(out.rglob("*.partial"))
