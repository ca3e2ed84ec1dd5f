"""Checkpoints that can be believed: Orbax steps with a SHA-256 digest of every leaf.

Neither Orbax nor the file formats below it notice a flipped bit in an array, so each step carries
a record of digests beside its arrays, and nothing is handed out that does not match it.
"""

import contextlib
import dataclasses
import json
import logging
import shutil
import warnings
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from orbax.checkpoint import v1

from jclip.distributed import on_host, put
from jclip.errors import InputError, RunStopped
from jclip.files.digests import json_digest, tensor_digest

_STATE, _RECORD = "state", "record"
# With one file per leaf there is nothing to merge; Orbax warns of that at every save.
logging.getLogger("absl").addFilter(lambda line: "Skipping merge of OCDBT" not in line.getMessage())


class CorruptCheckpoint(InputError):
    """A checkpoint is not what was written. The message names the step's folder and the leaf."""


@dataclasses.dataclass(frozen=True)
class Restored[Tree]:
    """What a checkpoint held: its step, the state, and where the batches had got to."""

    step: int
    state: Tree
    batches: Any


class Checkpoints(contextlib.AbstractContextManager):
    """The last two checkpoints of one training run.

    Writing goes on in the background; a step appears whole or not at all. Arrays are gathered from
    the devices that have them. To be closed, or used in a `with` statement.

    Args:
        folder: where one folder per step is kept; created if need be.
    """

    def __init__(self, folder: Path):
        self.folder = folder.absolute()
        self._saving: int | None = None
        self._orbax = _open(self.folder)

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Wait for what is being written, and release what Orbax holds."""
        try:
            self.wait()
        finally:
            # A failed write may be told only here, or once more.
            with self._failure_named():
                self._orbax.close()

    @property
    def steps(self) -> tuple[int, ...]:
        """The steps there are, in ascending order."""
        return tuple(checkpoint.step for checkpoint in self._orbax.checkpoints)

    def save(self, step: int, state: Any, *, batches: Any = None) -> None:
        """Write a checkpoint in the background; `state` may be donated as soon as this returns.

        Args:
            step: how many steps have been done.
            state: a pytree of arrays, PRNG keys among them.
            batches: JSON; the iterator state, which has to be the same in every process.

        Raises:
            ValueError: a leaf is not finite; nothing is written.
            RunStopped: the checkpoint before this one could not be written.
        """
        leaves = {name: on_host(_raw(leaf)) for name, leaf in _named(state).items()}
        for name, leaf in leaves.items():
            if jax.numpy.issubdtype(leaf.dtype, np.inexact) and not np.isfinite(leaf).all():
                raise ValueError(f"step {step}: {name} is not finite, so it was not saved")
        record = {"leaves": {k: _description(v) for k, v in leaves.items()}, "batches": batches}
        record = json.loads(json.dumps(record))
        self.wait()
        self._saving = step
        content = {_STATE: leaves, _RECORD: {**record, "sha256": json_digest(record)}}
        with self._failure_named():
            self._orbax.save_checkpointables_async(step, content, force=True)

    def wait(self) -> None:
        """Wait until the last checkpoint is on disk.

        Raises:
            RunStopped: it could not be written; the ones before it are untouched.
        """
        with self._failure_named():
            self._orbax.wait()

    @contextlib.contextmanager
    def _failure_named(self):
        try:
            yield
        except Exception as error:
            # Until then Orbax lists the step whose commit failed as the latest.
            with contextlib.suppress(Exception):
                self._orbax.reload()
            raise RunStopped(
                f"{self.folder}: the checkpoint of step {self._saving} could not be written "
                f"({_cause(error)}); those there: {', '.join(map(str, self.steps)) or 'none'}"
            ) from error

    def restore[Tree](self, step: int, template: Tree) -> Restored[Tree]:
        """Read one step and verify every digest.

        Args:
            step: one of `steps`.
            template: a pytree of arrays like the one saved; what is read is put where they are.

        Raises:
            CorruptCheckpoint: a leaf is damaged, missing, or was not there when it was written.
            InputError: it is of another model or optimizer than the template.
        """
        where, named = self.folder / str(step), _named(template)
        record = self._load(step, _RECORD, None)
        digest = record.pop("sha256", None) if isinstance(record, dict) else None
        if digest is None or digest != json_digest(record):
            raise CorruptCheckpoint(f"{where}: the record of its digests is damaged")
        written: dict[str, list[str]] = record["leaves"]
        shapes = {name: jax.eval_shape(_raw, leaf) for name, leaf in named.items()}
        expected = {name: _kind(shape) for name, shape in shapes.items()}
        for name in sorted(expected.keys() | written.keys()):
            there, wanted = written.get(name, ["absent"])[0], expected.get(name, "absent")
            if there != wanted:
                raise InputError(f"{where}: of another model: {name} is {there}, not {wanted}")
        # Arrays without memory of their own: Orbax looks at type, shape and dtype only.
        target = {k: np.broadcast_to(np.zeros((), s.dtype), s.shape) for k, s in shapes.items()}
        leaves = self._load(step, _STATE, target)
        for name, description in written.items():
            if _description(leaves[name]) != description:
                raise CorruptCheckpoint(f"{where}: {name} is damaged: its digest does not match")
        placed = [_put_like(leaves[name], leaf) for name, leaf in named.items()]
        state = jax.tree.unflatten(jax.tree.structure(template), placed)
        return Restored(step, state, record["batches"])

    def restore_latest[Tree](self, template: Tree) -> Restored[Tree] | None:
        """Read the latest intact step, or None if there is none yet.

        A damaged step is left as `STEP.damaged`, and a warning says which one is read instead.

        Raises:
            CorruptCheckpoint: there are checkpoints but none is intact.
            InputError: they are of another model or optimizer than the template.
        """
        damaged: list[CorruptCheckpoint] = []
        for step in reversed(self.steps):
            try:
                restored = self.restore(step, template)
            except CorruptCheckpoint as error:
                damaged.append(error)
                continue
            if damaged:
                reasons = "; ".join(map(str, damaged))
                warnings.warn(f"{reasons}; going on from step {step}", stacklevel=2)
                self._set_aside([s for s in self.steps if s > step])
            return restored
        if damaged:
            raise CorruptCheckpoint(f"{damaged[0]}; no other checkpoint is intact")
        return None

    def _set_aside(self, steps: list[int]) -> None:
        multihost_utils.sync_global_devices("every process has read the checkpoint")
        for step in steps if jax.process_index() == 0 else ():
            aside = self.folder / f"{step}.damaged"
            shutil.rmtree(aside, ignore_errors=True)
            (self.folder / str(step)).rename(aside)
        multihost_utils.sync_global_devices("damaged checkpoints are set aside")
        self._orbax.reload()

    def _load(self, step: int, part: str, target: Any) -> Any:
        try:
            return self._orbax.load_checkpointables(step, {part: target})[part]
        except v1.training.errors.StepNotFoundError:
            raise InputError(f"{self.folder}: holds no step {step}") from None
        except Exception as error:
            raise CorruptCheckpoint(f"{self.folder / str(step)}: {_cause(error)}") from error


def _open(folder: Path) -> v1.training.Checkpointer:
    registry = v1.handlers.local_registry()
    registry.add(v1.handlers.JsonHandler, checkpointable_name=_RECORD)
    context = v1.Context()
    context.checkpointables.registry = registry
    # A folder per leaf, so that whatever is wrong with its files names the leaf.
    context.array.saving.use_ocdbt = False
    # Two, so that there is one to fall back to.
    keep: Any = v1.training.preservation_policies.LatestN(2)
    return v1.training.Checkpointer(
        str(folder), context=context, preservation_policy=keep, cleanup_tmp_directories=True
    )


def _named(tree: Any) -> dict[str, Any]:
    """Leaves by dotted path."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(p, simple=True, separator="."): leaf for p, leaf in leaves}


def _is_key(leaf: Any) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _raw(leaf: Any) -> Any:
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _put_like(value: Any, like: jax.Array) -> jax.Array:
    """Put an array that was read where `like` is, as a PRNG key if `like` is one."""
    if _is_key(like):
        value = jax.random.wrap_key_data(value, impl=jax.random.key_impl(like))
    return put(value, like.sharding)


def _kind(array: Any) -> str:
    return f"{np.dtype(array.dtype).name}[{','.join(map(str, array.shape))}]"


def _description(array: np.ndarray) -> list[str]:
    """Type and shape, and the digest."""
    return [_kind(array), tensor_digest(array)]


def _cause(error: BaseException) -> str:
    """What happened below Orbax's own errors, in one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    said = " ".join(str(error).split())
    # Long paths stand in the middle, and what the system said at the end.
    return said if len(said) <= 300 else f"{said[:120]} ... {said[-175:]}"
