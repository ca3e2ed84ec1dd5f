import sys
import time

import pytest

from benchmarks.torch_process import torch_process
from jclip.errors import InputError

ECHO = """
import json, sys
print(json.dumps({"ready": True}), flush=True)
for line in sys.stdin:
    request = json.loads(line)
    if request.get("die"):
        sys.exit("out of memory")
    print(json.dumps({"twice": 2 * request["n"]}), flush=True)
"""


def python(source):
    return [sys.executable, "-c", source]


def test_every_request_has_its_answer():
    with torch_process(python(ECHO)) as (ask, said):
        assert said == {"ready": True}
        assert [ask({"n": n}) for n in (1, 5)] == [{"twice": 2}, {"twice": 10}]


def test_a_process_that_ends_early_says_why():
    with torch_process(python(ECHO)) as (ask, _):
        with pytest.raises(InputError, match="ended early: out of memory"):
            ask({"die": True})
        # It may be gone before the request is written.
        time.sleep(0.2)
        with pytest.raises(InputError, match="ended early"):
            ask({"n": 1})


def test_one_that_never_gets_ready_is_refused():
    with pytest.raises(InputError, match=r"ended early: .*no_torch"):
        with torch_process(python("import no_torch")):
            pass
    with pytest.raises(InputError, match="absent: cannot be run"):
        with torch_process(["absent"]):
            pass
