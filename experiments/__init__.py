"""One runnable file per question: `python -m experiments.NAME --help`."""
