"""How long do perspective views of a panorama take, beside py360convert?

    pip install py360convert opencv-python-headless
    python -m benchmarks.sphere

Eight views of 224 pixels around the horizon of one panorama of 2048 x 1024: with one sample per
pixel beside py360convert, whose maps are cached, and with 4 x 4 beside what it takes of it to
antialias as much: views four times larger, averaged. Both are timed in turn in one process; the
median of the repetitions is printed, and their ratio. Half a minute.
"""

import importlib

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.timing import take_turns, timed
from jclip.images import plan_sphere, ring, sphere_views

SIZE, HEIGHT, VIEWS, ROUNDS = 224, 1024, 8, 15


def main() -> None:
    """Print the table."""
    try:
        cv2, py360convert = map(importlib.import_module, ("cv2", "py360convert"))
    except ImportError as missing:
        raise SystemExit(f"benchmarks.sphere: {missing.name} is not installed") from None
    panorama = np.random.default_rng(0).integers(0, 256, (HEIGHT, 2 * HEIGHT, 3), np.uint8)
    views = ring(VIEWS)

    def theirs(samples: int) -> np.ndarray:
        side = SIZE * samples
        seen = [
            py360convert.e2p(panorama, view.fov, view.yaw, view.pitch, (side, side))
            for view in views
        ]
        if samples > 1:
            seen = [cv2.resize(view, (SIZE, SIZE), interpolation=cv2.INTER_AREA) for view in seen]
        return np.stack(seen)

    def ours(plan):
        # The panorama starts on the host both times: its transfer belongs to the views.
        return sphere_views(jnp.asarray(panorama[None]), plan)

    print(f"jax {jax.__version__} on {jax.devices()[0].device_kind}, OpenCV {cv2.__version__}")
    print("samples  jclip ms  py360convert ms  ratio")
    for samples in (1, 4):
        plan = jax.device_put(plan_sphere(HEIGHT, 2 * HEIGHT, views, SIZE, samples))
        tasks = {
            "jclip": timed(lambda plan=plan: ours(plan)),
            "py360convert": timed(lambda samples=samples: theirs(samples)),
        }
        taken = take_turns(tasks, ROUNDS)
        mine, other = (1e3 * taken[name].median for name in tasks)
        print(f"{samples} x {samples}{mine:13.1f}{other:17.1f}{other / mine:7.1f}", flush=True)


if __name__ == "__main__":
    main()
