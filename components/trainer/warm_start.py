"""Begins a training with the weights of a ``.keras`` file.

Only numbers are read out of the file: its configuration, which could name code to run, is not looked at.
"""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py

from penstock.errors import ArtifactError

_WEIGHTS = "model.weights.h5"
_NOT_WEIGHTS = ("optimizer", "metrics", "loss_tracker", "compile_metrics")
"""Groups of the file, beside those of the layers, that a training begins anew."""
_WRAPPERS = "layers/quantize_wrapper_v2"
"""Groups of the layers that :mod:`~penstock.components.trainer.quantize_aware` has wrapped."""


def apply_warm_start(model: Any, path: Path) -> int:
    """Give the weights of a saved model to a model of the same architecture; the optimizer begins anew.

    Args:
        model: The model, with all its variables built and without a strategy:
            :func:`~penstock.components.trainer.twin.untrained_twin` makes one, and
            :func:`~penstock.components.trainer.model_state.copy_weights` takes them from it.
        path: The ``.keras`` file, of either Keras.

    Returns:
        How many variables were taken.

    Raises:
        ArtifactError: The file is not there, is no ``.keras`` file, or is a checkpoint of another architecture.
    """
    with tempfile.TemporaryDirectory(prefix="penstock-warm-start-") as folder:
        file = Path(folder) / _WEIGHTS
        model.save_weights(file)
        taken = _replace(file, _read(path), path)
        model.load_weights(file)
    return taken


def is_quantize_aware(path: Path) -> bool:
    """Return whether a saved model was trained quantization-aware.

    Args:
        path: The ``.keras`` file.

    Raises:
        ArtifactError: The file is not there, or is no ``.keras`` file.
    """
    try:
        with h5py.File(_read(path), "r") as stored:
            return any(name.startswith(_WRAPPERS) for name, _ in _datasets(stored))
    except OSError as error:
        raise _unreadable(path, error) from error


def _read(path: Path) -> io.BytesIO:
    try:
        with zipfile.ZipFile(path) as archive:
            return io.BytesIO(archive.read(_WEIGHTS))
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise _unreadable(path, error) from error


def _replace(file: Path, weights: io.BytesIO, path: Path) -> int:
    """Overwrite a model's weights, just saved, with those of the other; return how many."""
    try:
        with h5py.File(file, "r+") as own, h5py.File(weights, "r") as other:
            here, there = dict(_datasets(own)), dict(_datasets(other))
            _require_alike(here, there, path)
            for name, dataset in here.items():
                dataset[...] = there[name][...]
            return len(here)
    except OSError as error:
        raise _unreadable(path, error) from error


def _datasets(group: h5py.Group, prefix: str = "") -> Iterator[tuple[str, h5py.Dataset]]:
    """Yield the arrays that are stored in the file itself; HDF5 can also link to other files of this machine."""
    for name in sorted(group, key=_natural):
        if (not prefix and name in _NOT_WEIGHTS) or not isinstance(group.get(name, getlink=True), h5py.HardLink):
            continue
        child = group[name]
        if isinstance(child, h5py.Group):
            yield from _datasets(child, f"{prefix}{name}/")
        elif not child.external and not child.is_virtual:
            yield f"{prefix}{name}", child


def _natural(name: str) -> tuple[int, str]:
    return (int(name), "") if name.isdigit() else (-1, name)


def _require_alike(here: Mapping[str, h5py.Dataset], there: Mapping[str, h5py.Dataset], path: Path) -> None:
    for name in [*here, *(name for name in there if name not in here)]:
        mine, stored = _shown(here.get(name)), _shown(there.get(name))
        if mine != stored:
            dataset = here[name] if name in here else there[name]
            raise ArtifactError(
                f"warm_start: a checkpoint of another architecture; the first difference is {_variable(name, dataset)}",
                where=str(path),
                received=stored,
                expected=mine,
                hint="begin with a model that the same model_fn made from the same hparams, or leave warm_start out",
            )


def _shown(dataset: h5py.Dataset | None) -> str:
    return "no such variable" if dataset is None else f"{dataset.dtype.name}{list(dataset.shape)}"


def _variable(name: str, dataset: h5py.Dataset) -> str:
    """Return a variable's description: Keras files it under its layer's kind and number, and notes the layer's name."""
    layer, _, number = name.partition("/vars/")
    return f"variable {number} of layer {dataset.parent.attrs.get('name', layer.rpartition('/')[2])!r} ({layer})"


def _unreadable(path: Path, error: Exception) -> ArtifactError:
    return ArtifactError(
        f"warm_start: the weights cannot be read: {type(error).__name__}: {error}",
        where=str(path),
        expected="a .keras file, as the Trainer writes it",
    )
