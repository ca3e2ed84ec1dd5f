"""What the programs of the experiments become on chips that are not there: compiled, never run."""
