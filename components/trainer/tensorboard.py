"""What TensorBoard shows of a training: curves, and a profile of some steps."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from penstock.errors import EnvironmentProblem
from penstock.serving.saved_model import tensorflow_message

_log = logging.getLogger(__name__)
_SECONDS_BETWEEN_POINTS = 1.0
_VALIDATION = "val_"


def tensorboard_log(folder: Path, profile_steps: tuple[int, ...] | None, *, chief: bool) -> TensorBoardLog:
    """Return a log that writes into a folder, or on other workers than the chief one that writes nothing."""
    return TensorBoardLog(folder if chief else None, profile_steps)


class TensorBoardLog:
    """Writes curves to ``train/`` and ``validation/`` of a folder, and a profile to ``plugins/profile/``.

    A training that goes on from a checkpoint may use the same folder.

    Args:
        folder: The folder that TensorBoard's ``--logdir`` is given; it is made when there is something to write. None
            writes nothing, for workers that are not the chief.
        profile_steps: First and last step to profile, from 1; None for none.
    """

    def __init__(self, folder: Path | None, profile_steps: tuple[int, ...] | None = None) -> None:
        self._folder = folder
        self._first, self._last = profile_steps or (0, 0)
        self._profiling = False
        self._pending = folder is not None and profile_steps is not None
        self._writers: dict[str, Any] = {}
        self._next_point = 0.0

    def steps(self, step: int, logs: Mapping[str, float], examples_per_second: float) -> None:
        """Write a point of the curves of training, at most one a second.

        Args:
            step: Steps taken, a count.
            logs: Loss, metrics, and whatever else has a curve, e.g. ``learning_rate``.
            examples_per_second: Rows trained on in a second.
        """
        now = time.monotonic()
        if now < self._next_point:
            return
        self._next_point = now + _SECONDS_BETWEEN_POINTS
        self._write("train", step, {**logs, "examples_per_second": examples_per_second})

    def epoch(self, step: int, logs: Mapping[str, float]) -> None:
        """Write the results of an epoch, as ``epoch_loss`` and so on, and flush all.

        Args:
            step: Steps taken, a count.
            logs: Loss and metrics of the epoch; ``val_`` before those of the evaluation split.
        """
        parts: dict[str, dict[str, float]] = {"train": {}, "validation": {}}
        for name, value in logs.items():
            part = "validation" if name.startswith(_VALIDATION) else "train"
            parts[part][f"epoch_{name.removeprefix(_VALIDATION)}"] = value
        for part, values in parts.items():
            self._write(part, step, values)
        for writer in self._writers.values():
            writer.flush()

    def steps_until_border(self, step: int) -> int | None:
        """Return the steps after which a call into TensorFlow has to end, so that the right ones are profiled.

        The same on all workers, whether they write or not: their calls must be of the same length.

        Args:
            step: Steps taken, a count.

        Returns:
            A count from 1, or None if no border lies ahead.
        """
        return next((border - step for border in (self._first - 1, self._last) if border > step), None)

    def before(self, step: int) -> None:
        """Start the profiler if the next step is to be profiled.

        Args:
            step: Steps taken, a count.

        Raises:
            EnvironmentProblem: Another profiler is running in this process.
        """
        if not self._pending or step + 1 < self._first:
            return
        self._pending = False
        if step < self._last:
            self._start_profiler()

    def after(self, step: int) -> None:
        """Stop the profiler if the last step to be profiled is done; the work of the step must have ended.

        Args:
            step: Steps taken, a count.
        """
        if self._profiling and step >= self._last:
            self._stop_profiler()

    def close(self) -> None:
        """Write what is not yet written. It may be called twice, and after an error."""
        if self._profiling:
            self._stop_profiler()
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()
        if self._pending:
            self._pending = False
            _log.warning("no profile: step %d of tensorboard.profile_steps was not reached", self._first)

    def _start_profiler(self) -> None:
        try:
            tf.profiler.experimental.start(str(self._folder))
        except tf.errors.AlreadyExistsError as error:
            raise EnvironmentProblem(
                f"the steps cannot be profiled: {tensorflow_message(error)}",
                received=f"tensorboard.profile_steps [{self._first}, {self._last}]",
                expected="no other profiler in this process",
                hint="a callback that profiles, e.g. keras.callbacks.TensorBoard, has to leave it to profile_steps",
            ) from error
        self._profiling = True

    def _stop_profiler(self) -> None:
        self._profiling = False
        tf.profiler.experimental.stop()
        _log.info("profile in %s", self._folder)

    def _write(self, part: str, step: int, values: Mapping[str, float]) -> None:
        if self._folder is None or not values:
            return
        if part not in self._writers:
            self._writers[part] = tf.summary.create_file_writer(str(self._folder / part))
        with self._writers[part].as_default(step):
            for name, value in values.items():
                tf.summary.scalar(name, value)
