"""What a command imports before it knows what to do: `--help` and refusals should be quick."""

import subprocess
import sys

# Each takes from a quarter of a second to several, and is imported where it is used.
HEAVY = ("grain", "matplotlib", "orbax", "scipy.stats", "tensorflow_datasets", "transformers")
NEEDED = (
    "jclip",
    "jclip.data.image_sets",
    "jclip.data.pipeline",
    "jclip.probes.shift",
    "jclip.report.page",
    "jclip.runs.command",
    "jclip.runs.models",
    "jclip.runs.options",
    "jclip.runs.run",
    "jclip.statistics.bound_tests",
    "jclip.statistics.calibration",
    "jclip.statistics.stability",
    "experiments.prepare_dataset",
)


def test_heavy_packages_wait_until_they_are_used():
    source = f"import sys, {', '.join(NEEDED)}; print([n for n in {HEAVY} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
