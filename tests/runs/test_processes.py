"""Which options start several processes, and which are refused."""

import pytest

from jclip.errors import InputError
from jclip.runs.processes import ProcessOptions, launch, task_notices


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


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"SLURM_NTASKS": "4", "SLURM_PROCID": "1"}, "task 1 of the 4 of Slurm"),
        ({"SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "0"}, "task 0 of the 2 of Slurm"),
        ({"OMPI_COMM_WORLD_SIZE": "3", "OMPI_COMM_WORLD_RANK": "2"}, "task 2 of the 3 of Open MPI"),
        ({"PMI_SIZE": "3", "PMI_RANK": "2"}, "task 2 of the 3 of MPI"),
        ({"WORLD_SIZE": "8", "RANK": "0"}, "task 0 of the 8 of torchrun"),
        ({"SLURM_NTASKS": "1", "SLURM_PROCID": "0"}, None),
        ({"SLURM_NTASKS": "4"}, None),
        ({"SLURM_NTASKS": "4(x2)", "SLURM_PROCID": "1"}, None),
        ({}, None),
    ],
)
def test_tasks_that_do_not_know_of_each_other_are_noticed(monkeypatch, variables, told):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    notices = task_notices()
    assert len(notices) == (told is not None)
    if told:
        assert told in notices[0] and "--coordinator" in notices[0]
