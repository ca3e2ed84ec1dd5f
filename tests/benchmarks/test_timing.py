import numpy as np
import pytest

from benchmarks.timing import Seconds, take_turns


def test_tasks_take_turns_after_a_warm_up_of_each():
    done, told = [], []

    def task(name):
        def work():
            done.append(name)
            return float(len(done))

        return work

    found = take_turns({"a": task("a"), "b": task("b")}, 2, told.append)
    assert done == ["a", "a", "b", "b", "a", "b", "a", "b"]
    assert told == ["a", "b"]
    assert found["a"].first == 1.0 and found["b"].first == 3.0
    np.testing.assert_array_equal(found["a"].rounds, [5.0, 7.0])
    np.testing.assert_array_equal(found["b"].rounds, [6.0, 8.0])


@pytest.mark.parametrize(("rounds", "median"), [([3.0], 3.0), ([1.0, 9.0, 2.0], 2.0)])
def test_the_median_is_over_the_rounds_alone(rounds, median):
    assert Seconds(100.0, np.array(rounds)).median == median
