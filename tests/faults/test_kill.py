"""Killed with -9 at a random moment and started again, a run ends as if nothing had happened.

Two kills of each experiment are part of the slow tests, twenty under the marker `many_kills`.
"""

import random

import pytest
from slowed_runs import FEATURES, SWEEP, TUNING, assert_same, kill_after_start

pytestmark = pytest.mark.slow
# How long each works, about, from the moment it opens its folder; kills fall into that.
SECONDS = {SWEEP: 6.0, FEATURES: 6.0, TUNING: 12.0}


@pytest.mark.parametrize("run", SECONDS, ids=lambda run: run.name)
@pytest.mark.parametrize(
    "attempt", [0, 1, *(pytest.param(i, marks=pytest.mark.many_kills) for i in range(2, 20))]
)
def test_a_killed_run_ends_with_the_same_results(undisturbed, run, attempt, tmp_path):
    data, expected = undisturbed(run)
    out, chance = tmp_path / "run", random.Random()
    for _ in range(1 + attempt % 2):
        seconds = chance.uniform(0, SECONDS[run])
        print(f"killed {seconds:.3f} s after the start")
        kill_after_start(run, data, out, seconds)
    assert run.main(data, out) == 0
    assert_same(run.results(out), expected)
    assert not (out / "parts").exists() and not list(out.rglob("*.partial"))
