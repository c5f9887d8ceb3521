"""Checkpoints: the whole state of a training, from which it goes on after its process was killed.

A checkpoint is a folder ``step-00000200`` with TensorFlow's checkpoint of all variables and ``position.json``. It is
written beside and renamed, so what has that name is whole.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import tensorflow as tf

from penstock import durable
from penstock.components.trainer.options import CheckpointOptions
from penstock.components.trainer.replica_state import levelling
from penstock.components.trainer.training_errors import PEER_LOST
from penstock.errors import ArtifactError, EnvironmentProblem
from penstock.serving.saved_model import tensorflow_message

_log = logging.getLogger(__name__)
_NAME = re.compile(r"step-(\d{8,})")
_INDEX = re.compile(r"variables/\d+/")
_POSITION = "position.json"
_BEST = re.compile(r"best-(\d{8,})")
_PARTIAL = ".partial-"
_DAMAGE = (tf.errors.OpError, AssertionError, RuntimeError, OSError, ValueError, TypeError)


@contextmanager
def checkpoint_folder(wanted: Path | None) -> Iterator[Path]:
    """Yield the folder for checkpoints: the one that is wanted, or a temporary one for the time of the block."""
    if wanted is not None:
        yield wanted
        return
    with tempfile.TemporaryDirectory(prefix="penstock-checkpoints-") as folder:
        yield Path(folder)


@dataclass(frozen=True)
class Position:
    """How far a training has come.

    Args:
        step: Steps taken, a count.
        epoch: Epochs finished, a count.
        step_in_epoch: Steps taken of the epoch that goes on, a count.
        seconds: Wall time spent so far.
        history: One value a finished epoch for the loss and each metric.
        early_stopping: State of the early stopping.
        stopped: Training ended before its full length.
    """

    step: int = 0
    epoch: int = 0
    step_in_epoch: int = 0
    seconds: float = 0.0
    history: Mapping[str, Sequence[float]] = field(default_factory=dict)
    early_stopping: Mapping[str, Any] = field(default_factory=dict)
    stopped: bool = False


class Checkpoints:
    """Writes and reads the checkpoints of one training.

    Under a strategy of several workers all must call each method at the same time; only the chief's files stay.

    Args:
        folder: Where the checkpoints of this training are, and of no other; it is made when there is one.
        variables: All variables of the training in a fixed order: the model's, the optimizer's, the metrics'.
        weights: Those of the model alone.
        options: How many to keep.
        chief: Whether this process's files stay.
    """

    def __init__(
        self,
        folder: Path,
        *,
        variables: Sequence[Any],
        weights: Sequence[Any],
        options: CheckpointOptions,
        chief: bool = True,
    ) -> None:
        self._folder = folder
        self._keep = options.keep
        self._chief = chief
        self._state = tf.train.Checkpoint(variables=list(variables))
        self._weights = tf.train.Checkpoint(variables=list(weights))
        self._level = levelling(variables)

    def save(self, position: Position) -> None:
        """Publish a checkpoint, then remove what is older than those to keep.

        Raises:
            EnvironmentProblem: It cannot be written; the others are still there.
        """
        with self._published(f"step-{position.step:08d}") as folder:
            self._state.write(str(folder / "state"))
            # NaN, which JSON lacks and Python's reader takes: a metric may be NaN while the loss is not.
            (folder / _POSITION).write_text(json.dumps(asdict(position)), encoding="utf-8")
        self._level()
        _log.info("checkpoint after step %d", position.step)
        if self._chief:
            self._tidy()

    def save_best(self, epoch: int) -> None:
        """Publish the model's weights as those of the best epoch so far.

        Raises:
            EnvironmentProblem: They cannot be written.
        """
        with self._published(f"best-{epoch:08d}") as folder:
            self._weights.write(str(folder / "state"))

    def restore(self) -> Position | None:
        """Read the newest checkpoint that is not damaged; None if there is none, and the variables are as before.

        Raises:
            ArtifactError: A checkpoint holds another architecture.
        """
        if self._chief:
            for left_behind in self._folder.glob(f"{_PARTIAL}*"):
                shutil.rmtree(left_behind)
        for folder in self._found():
            try:
                position = _position(folder)
                self._read(self._state, folder)
            except _DAMAGE as error:
                _log.warning("checkpoint %s is damaged and left out: %s", folder, error)
                continue
            _log.info("going on after step %d from %s", position.step, folder)
            return position
        return None

    def restore_best(self, epoch: int) -> None:
        """Read the best epoch's weights back."""
        self._read(self._weights, self._folder / f"best-{epoch:08d}")

    def _found(self) -> list[Path]:
        """Return the checkpoints, the newest first."""
        folders = self._folder.iterdir() if self._folder.is_dir() else iter(())
        steps = {int(name[1]): folder for folder in folders if (name := _NAME.fullmatch(folder.name))}
        return [steps[step] for step in sorted(steps, reverse=True)]

    def _tidy(self) -> None:
        """Remove what none of the newest checkpoints needs: older ones, and weights that they do not call the best."""
        found = self._found()
        for old in found[self._keep :]:
            durable.remove_tree(old)
        try:
            needed = {_position(folder).early_stopping.get("best_epoch") for folder in found[: self._keep]}
        except _DAMAGE as error:
            _log.debug("the weights of all best epochs are kept: %s", error)
            return
        for path in self._folder.iterdir():
            name = _BEST.fullmatch(path.name)
            if name and int(name[1]) not in needed:
                durable.remove_tree(path)

    @staticmethod
    def _read(checkpoint: Any, folder: Path) -> None:
        where = str(folder / "state")
        reader = tf.train.load_checkpoint(where)
        _require_same_architecture(reader, checkpoint.variables, folder)
        for name in reader.get_variable_to_shape_map():
            # Fails where bytes are damaged, before any variable has changed.
            reader.get_tensor(name)
        checkpoint.read(where).assert_existing_objects_matched()

    @contextmanager
    def _published(self, name: str) -> Iterator[Path]:
        """Yield a folder to write into; it gets its name when it is whole, and no one else's is replaced by a part."""
        try:
            if self._chief:
                with _renamed(self._folder / f"{_PARTIAL}{name}", self._folder / name) as folder:
                    yield folder
            else:
                with tempfile.TemporaryDirectory(prefix="penstock-checkpoint-") as temporary:
                    yield Path(temporary)
        except PEER_LOST:
            raise
        except (OSError, tf.errors.OpError) as error:
            raise _not_written(self._folder / name, error) from error


@contextmanager
def _renamed(partial: Path, final: Path) -> Iterator[Path]:
    """Make a folder; it gets its final name at the end of the block, or is removed if that fails."""
    try:
        partial.mkdir(parents=True)
        yield partial
        durable.sync_tree(partial)
        durable.rename_over(partial, final)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _position(folder: Path) -> Position:
    return Position(**json.loads((folder / _POSITION).read_text(encoding="utf-8")))


def _not_written(folder: Path, error: OSError | tf.errors.OpError) -> EnvironmentProblem:
    reason = error.strerror if isinstance(error, OSError) else tensorflow_message(error)
    return EnvironmentProblem(
        f"a checkpoint cannot be written: {reason}",
        where=str(folder),
        hint="free space, or make the folder writable; the next run goes on from the last checkpoint there",
    )


def _require_same_architecture(reader: Any, variables: Sequence[Any], folder: Path) -> None:
    """Compare shapes and types one by one: what TensorFlow says of a mismatch names no variable.

    Raises:
        ArtifactError: They differ.
    """
    shapes, types = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    there = [(tuple(shapes[key]), types[key].name) for key in sorted(filter(_INDEX.match, shapes), key=_number)]
    here = [(tuple(variable.shape), variable.dtype.name) for variable in variables]
    if there == here:
        return
    for number, (stored, present) in enumerate(zip(there, here, strict=False)):
        if stored != present:
            name = variables[number].name
            raise _other_architecture(folder, _shown(stored), f"{_shown(present)} for variable {number}, {name!r}")
    raise _other_architecture(folder, f"{len(there)} variables", f"{len(here)} variables")


def _number(key: str) -> int:
    return int(key.split("/")[1])


def _shown(variable: tuple[tuple[int, ...], str]) -> str:
    shape, dtype = variable
    return f"{dtype}{list(shape)}"


def _other_architecture(folder: Path, received: str, expected: str) -> ArtifactError:
    return ArtifactError(
        "the checkpoint is of another architecture than the model that model_fn returns now",
        where=str(folder),
        received=received,
        expected=expected,
        hint=f"remove {folder.parent} to begin again from the start",
    )
