"""The worked example of CONTRIBUTING.md is a whole experiment, and it runs."""

import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet

ROOT = Path(__file__).parents[1]


def test_the_worked_example_runs_resumes_and_has_a_page(tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL)
    statements = [line for line in code.splitlines() if line.strip()]
    assert len(statements) <= 60
    (tmp_path / "blur_sweep.py").write_text(code)
    command = [sys.executable, "blur_sweep.py", "--images", "demo:8", "--sigmas", "1,4"]
    for _ in range(2):
        ended = subprocess.run(
            [*command, "--out", "run"], cwd=tmp_path, capture_output=True, text=True
        )
        assert ended.returncode == 0, ended.stderr
    scores = pyarrow.parquet.read_table(tmp_path / "run" / "scores.parquet")
    assert scores["column"].to_pylist()[:3] == ["0", "1", "4"]
    by_sigma = [scores["score"].to_numpy()[k::3] for k in range(3)]
    sharp, blurred = abs(by_sigma[1] - by_sigma[0]).mean(), abs(by_sigma[2] - by_sigma[0]).mean()
    assert 0 < sharp < blurred
    assert (
        "Blurring by sigma 4 changes the median score by"
        in (tmp_path / "run" / "report.html").read_text()
    )
