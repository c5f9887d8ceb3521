"""Trains: epoch after epoch, with validation, checkpoints, callbacks and progress."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from typing import Any

from penstock.components.trainer.checkpoint import Checkpoints, Position
from penstock.components.trainer.config import TrainerConfig
from penstock.components.trainer.early_stopping import EarlyStop
from penstock.components.trainer.execution import Engine, Execution
from penstock.components.trainer.keras_backend import Keras
from penstock.components.trainer.model_state import has_finite_weights
from penstock.components.trainer.outcome import FitOutcome, Length, Totals
from penstock.components.trainer.pace import Pace
from penstock.components.trainer.progress_text import epoch_line, status_line
from penstock.components.trainer.tensorboard import TensorBoardLog
from penstock.components.trainer.training_errors import not_finite
from penstock.reporting import status

_log = logging.getLogger(__name__)
_AUTO_CHECKPOINT_SECONDS = 30.0
_STATUS_SECONDS = 0.5


@dataclass
class Parts:
    """What the loop works with.

    Args:
        model: The compiled model, with all variables built.
        keras: The model's Keras.
        engine: Takes the steps.
        checkpoints: Saves the state.
        board: TensorBoard's log.
        callbacks: The user's Keras callbacks as one.
    """

    model: Any
    keras: Keras
    engine: Engine
    checkpoints: Checkpoints
    board: TensorBoardLog
    callbacks: Any


@dataclass
class _Place:
    """How far the training is; see :class:`Position`."""

    step: int = 0
    epoch: int = 0
    step_in_epoch: int = 0
    history: dict[str, list[float]] = field(default_factory=dict)


class TrainingLoop:
    """One training of a model, from the start or from a checkpoint.

    Every worker of a cluster runs the same loop and decides alike: what depends on time is agreed upon first.

    Args:
        parts: What the loop works with.
        config: The Trainer's parameters.
        length: How long to train.
        start: Where a checkpoint left off, its variables restored; None to begin.
    """

    def __init__(self, parts: Parts, config: TrainerConfig, length: Length, start: Position | None) -> None:
        self._parts = parts
        self._config = config
        self._length = length
        self._start = start
        given = start or Position()
        history = {name: list(values) for name, values in given.history.items()}
        self._place = _Place(given.step, given.epoch, given.step_in_epoch, history)
        self._seconds_before = given.seconds
        self._pace = Pace(config.steps_per_execution)
        self._stop = given.stopped
        self._early = EarlyStop(config.early_stopping) if config.early_stopping else None
        if self._early and given.early_stopping:
            self._early.load(given.early_stopping)
        elif self._early:
            metrics = list(parts.keras.epoch_results(parts.model))
            self._early.check([*metrics, *(f"val_{name}" for name in metrics)])
        self._totals = Totals()
        self._trained_seconds = 0.0
        self._saved: tuple[int, float] = (given.step if start else 0, time.monotonic())
        self._shown = 0.0

    def run(self) -> FitOutcome:
        """Train to the end.

        Raises:
            ArtifactError: The loss or a weight became NaN or infinite.
        """
        self._began = time.monotonic()
        try:
            self._parts.callbacks.on_train_begin()
            while self._place.epoch < self._length.epochs and not self._stop:
                self._run_epoch()
            self._require_finite_weights()
            self._parts.callbacks.on_train_end()
        finally:
            self._parts.board.close()
        best = self._restore_best()
        return FitOutcome(
            history=self._place.history,
            steps=self._place.step,
            wall_seconds=self._seconds(),
            trained_seconds=self._trained_seconds,
            trained_steps=self._place.step - (self._start.step if self._start else 0),
            totals=self._totals,
            steps_per_execution=self._pace.chosen,
            resumed_from=self._start.step if self._start else None,
            best_epoch=best,
            stopped_early=self._place.step < self._length.steps,
        )

    def _run_epoch(self) -> None:
        place, parts = self._place, self._parts
        if place.step_in_epoch == 0:
            parts.keras.reset_metrics(parts.model)
        parts.callbacks.on_epoch_begin(place.epoch)
        began = time.monotonic()
        while place.step_in_epoch < self._length.steps_per_epoch and not self._stop:
            self._execute()
        logs = self._results()
        seconds = time.monotonic() - began
        parts.engine.evaluate()
        logs |= {f"val_{name}": value for name, value in self._results().items()}
        self._end_epoch(logs, seconds)

    def _end_epoch(self, logs: dict[str, float], seconds: float) -> None:
        place, parts = self._place, self._parts
        for name, value in logs.items():
            place.history.setdefault(name, []).append(value)
        place.epoch += 1
        place.step_in_epoch = 0
        _log.info("%s", epoch_line(place.epoch, self._length.epochs, self._length.steps_per_epoch, seconds, logs))
        parts.board.epoch(place.step, logs)
        parts.callbacks.on_epoch_end(place.epoch - 1, logs)
        if self._early:
            self._stop |= self._early.update(place.epoch, logs)
            if self._early.improved and self._config.early_stopping and self._config.early_stopping.restore_best:
                parts.checkpoints.save_best(place.epoch)
        self._decide(parts.engine.gather([float(self._asked_to_stop()), self._due()]))

    def _execute(self) -> None:
        """Take some steps, and whatever is due after them."""
        place, parts = self._place, self._parts
        parts.callbacks.on_train_batch_begin(place.step_in_epoch)
        parts.board.before(place.step)
        execution = parts.engine.train(self._pace.next(self._allowed()))
        place.step += execution.steps
        place.step_in_epoch += execution.steps
        parts.board.after(place.step)
        self._trained_seconds += execution.seconds
        bad = 0 if execution.bad_step is None else place.step - execution.steps + execution.bad_step + 1
        wishes = [float(self._asked_to_stop()), self._due()]
        workers = parts.engine.gather([execution.seconds, execution.waiting, float(bad), *wishes])
        seconds, waiting, bad_steps, *_ = zip(*workers, strict=True)
        if any(bad_steps):
            self._fail("the loss", int(min(filter(None, bad_steps))))
        self._totals.add(execution, max(waiting))
        self._pace.measured(execution.steps, max(seconds))
        self._show(execution)
        if place.step_in_epoch < self._length.steps_per_epoch:
            self._decide([worker[3:] for worker in workers])

    def _decide(self, wishes: list[list[float]]) -> None:
        """Stop, and save, if any worker wants it; an epoch that is cut short is saved when it has been evaluated."""
        stop, due = zip(*wishes, strict=True)
        self._stop |= any(stop)
        if any(due) and not (self._stop and self._place.step_in_epoch):
            self._save()

    def _show(self, execution: Execution) -> None:
        """Tell callbacks, TensorBoard and the terminal; a few times a second is enough for the last two."""
        parts, place = self._parts, self._place
        now = time.monotonic()
        if not parts.callbacks.callbacks and now - self._shown < _STATUS_SECONDS:
            return
        logs = parts.engine.local_logs()
        parts.callbacks.on_train_batch_end(place.step_in_epoch - 1, logs)
        if now - self._shown < _STATUS_SECONDS:
            return
        self._shown = now
        rate = execution.steps * self._length.batch / execution.seconds
        left = (self._length.steps - place.step) * self._length.batch / rate
        parts.board.steps(place.step, logs | {"learning_rate": parts.keras.learning_rate(parts.model)}, rate)
        epoch, step = (place.epoch + 1, self._length.epochs), (place.step_in_epoch, self._length.steps_per_epoch)
        status(status_line(epoch, step, logs=logs, examples_per_second=rate, seconds_left=left))

    def _allowed(self) -> int:
        """Return the number of steps until something else must happen."""
        borders = [self._length.steps_per_epoch - self._place.step_in_epoch]
        every = self._config.checkpoint.every_steps
        if every != "auto":
            borders.append(every - self._place.step % every)
        border = self._parts.board.steps_until_border(self._place.step)
        return min([*borders, border] if border else borders)

    def _due(self) -> float:
        """Return 1 if a checkpoint is due, as this worker sees it."""
        every = self._config.checkpoint.every_steps
        step, moment = self._saved
        if every == "auto":
            return float(time.monotonic() - moment >= _AUTO_CHECKPOINT_SECONDS and self._place.step > step)
        return float(self._place.step // every > step // every)

    def _save(self) -> None:
        self._require_finite_weights()
        place = self._place
        early = self._early.to_dict() if self._early else {}
        position = Position(
            place.step, place.epoch, place.step_in_epoch, self._seconds(), place.history, early, self._stop
        )
        self._parts.checkpoints.save(position)
        self._saved = place.step, time.monotonic()

    def _asked_to_stop(self) -> bool:
        """Whether a callback of the user's set ``model.stop_training``, or early stopping ends the training."""
        return self._stop or bool(getattr(self._parts.model, "stop_training", False))

    def _restore_best(self) -> int | None:
        options = self._config.early_stopping
        if not self._early or not options or not options.restore_best or self._early.best_epoch is None:
            return None
        self._parts.checkpoints.restore_best(self._early.best_epoch)
        _log.info("restored the weights of epoch %d", self._early.best_epoch)
        return self._early.best_epoch

    def _results(self) -> dict[str, float]:
        """Return the metrics so far over all workers, and reset them."""
        parts = self._parts
        values = {name: float(value) for name, value in parts.keras.epoch_results(parts.model).items()}
        parts.keras.reset_metrics(parts.model)
        return values

    def _require_finite_weights(self) -> None:
        """A step of finite loss may make weights that no later step recovers from."""
        if not has_finite_weights(self._parts.model):
            self._fail("a weight", self._place.step)

    def _fail(self, what: str, step: int) -> None:
        epoch, batch = divmod(step - 1, self._length.steps_per_epoch)
        kept = self._saved[0] or None
        raise not_finite(what, step, f"epoch {epoch + 1}, batch {batch + 1} of {self._length.steps_per_epoch}", kept)

    def _seconds(self) -> float:
        return self._seconds_before + time.monotonic() - self._began
