"""How much memory a run has needed."""

import resource
import sys

import jax


def peak_memory() -> float:
    """The most MiB in use so far: of the device where it says so, of the process elsewhere."""
    known = jax.local_devices()[0].memory_stats()
    if known and "peak_bytes_in_use" in known:
        return known["peak_bytes_in_use"] / 2**20
    unit = 1 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
