"""Which options start several processes, and which are refused."""

import pytest

from jclip.errors import InputError
from jclip.runs.processes import ProcessOptions, launch


def test_one_process_runs_as_it_is():
    assert launch(ProcessOptions(), lambda: 3) == 3


@pytest.mark.parametrize(
    "options",
    [ProcessOptions("host:1", 2, 1), ProcessOptions("auto"), ProcessOptions()],
)
def test_options_that_fit_together(options):
    options.check()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (ProcessOptions(num_processes=2, process_id=0), "--coordinator HOST:PORT"),
        (ProcessOptions("auto", 2, 0), "--coordinator HOST:PORT"),
        (ProcessOptions("host:1"), "--num-processes"),
        (ProcessOptions("host", 2, 1), "HOST:PORT"),
        (ProcessOptions("host:1", 2, 2), "--process-id 2"),
        (ProcessOptions("host:1", 2, -1), "--process-id -1"),
    ],
)
def test_options_that_do_not(options, named):
    with pytest.raises(InputError, match=named):
        launch(options, lambda: pytest.fail("started"))
