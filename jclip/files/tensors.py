"""Reading tensors from files, one at a time: safetensors, and pickles where they are allowed."""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped
from safetensors import SafetensorError, safe_open

from jclip.errors import InputError
from jclip.files.digests import recorded_digests, tensor_digest


def open_tensors(paths: Sequence[Path], *, pickled: bool) -> "SafetensorsTensors | PickledTensors":
    """The tensors of files of one kind.

    Raises:
        InputError: see both classes.
    """
    return PickledTensors(paths) if pickled else SafetensorsTensors(paths)


class SafetensorsTensors:
    """The tensors of one safetensors file, or of several shards; `metadata` are the headers'.

    Raises:
        InputError: a file is truncated or not safetensors, two shards hold the same name, or it
            holds digests and something is missing, added or changed.
    """

    def __init__(self, paths: Sequence[Path]):
        self._files = {}
        self._digests: dict[str, str] = {}
        self.metadata: dict[str, str] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        for path in paths:
            try:
                file = safe_open(path, framework="numpy")
                metadata = file.metadata() or {}
            except (SafetensorError, OSError) as error:
                raise InputError(f"{path} cannot be read as safetensors: {error}") from error
            for name in file.keys():
                if name in self.shapes:
                    raise InputError(f"{path} holds {name}, which another shard holds too")
                self._files[name] = path, file
                self.shapes[name] = tuple(file.get_slice(name).get_shape())
            self._digests |= recorded_digests(path, file.keys(), metadata)
            self.metadata |= metadata

    @property
    def files(self) -> dict[str, str]:
        """The name of the file that holds each tensor."""
        return {name: path.name for name, (path, _) in self._files.items()}

    def read(self, name: str) -> Shaped[np.ndarray, "..."]:
        """One tensor, in the dtype it is stored in (bfloat16 through ml_dtypes).

        Raises:
            InputError: it is of a type that numpy lacks, or its digest does not match.
        """
        path, file = self._files[name]
        try:
            tensor = file.get_tensor(name)
        except Exception as error:  # whatever numpy says to a type or shape that it lacks
            raise InputError(f"{path}: {name} cannot be read ({error})") from error
        if name in self._digests and tensor_digest(tensor) != self._digests[name]:
            raise InputError(f"{path} is damaged: {name} is not as it was written (its SHA-256)")
        return tensor


class PickledTensors:
    """The tensors of PyTorch files, read without running code from them (`weights_only`).

    Raises:
        InputError: PyTorch 2.6 or newer is missing, or a file is a TorchScript archive or holds
            more than tensors.
    """

    def __init__(self, paths: Sequence[Path]):
        for path in paths:
            _refuse_torchscript(path)
        torch = _import_torch(paths[0])
        self._tensors = {}
        for path in paths:
            try:
                state = torch.load(path, map_location="cpu", weights_only=True)
            except Exception as error:  # whatever a damaged or hostile pickle provokes
                raise InputError(
                    f"{path} is damaged or holds more than tensors, and is not read "
                    f"({type(error).__name__})"
                ) from error
            state = _state_dict(state)
            if not isinstance(state, dict) or not all(map(torch.is_tensor, state.values())):
                raise InputError(f"{path} is not a state dict of tensors")
            self._tensors |= state
        self.shapes: dict[str, tuple[int, ...]] = {
            name: tuple(tensor.shape) for name, tensor in self._tensors.items()
        }

    def read(self, name: str) -> Shaped[np.ndarray, "..."]:
        """One tensor; bfloat16, which PyTorch does not give to numpy, as float32."""
        tensor = self._tensors[name].detach()
        return (tensor.float() if tensor.is_floating_point() else tensor).numpy()


class UnwrappedTensors:
    """Tensors of files, called without what stands before every name there."""

    def __init__(self, tensors: "SafetensorsTensors | PickledTensors", prefix: str):
        self._tensors, self._prefix = tensors, prefix
        self.shapes = {name.removeprefix(prefix): s for name, s in tensors.shapes.items()}

    def read(self, name: str) -> Shaped[np.ndarray, "..."]:
        """One tensor."""
        return self._tensors.read(self._prefix + name)


def _state_dict(saved: Any) -> Any:
    """The weights of a training checkpoint, which has them beside the optimiser's state."""
    if isinstance(saved, dict):
        for name in ("state_dict", "model_state_dict", "model", "module"):
            if isinstance(saved.get(name), dict):
                return _state_dict(saved[name])
    return saved


def _import_torch(path: Path):
    try:
        import torch  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise InputError(
            f"{path} is a pickle: reading it needs PyTorch 2.6 or newer; in a checkout: "
            "pip install '.[torch]'"
        ) from error
    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < (2, 6):
        raise InputError(
            f"{path} is a pickle: PyTorch {torch.__version__} is not safe for that, 2.6 or newer is"
        )
    return torch


def _refuse_torchscript(path: Path) -> None:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if any("/code/" in name for name in archive.namelist()):
                raise InputError(
                    f"{path} is a TorchScript archive, which holds code; the same weights are in "
                    "the registry as safetensors (see ViT-B-32/openai and the like)"
                )
