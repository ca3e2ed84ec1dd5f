"""What the programs of the experiments become on TPUs that are not there: compiled, never run."""
