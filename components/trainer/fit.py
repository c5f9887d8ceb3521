"""Trains a model and watches it: one log line an epoch, and an end as soon as the loss is no number."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from penstock.components.trainer.config import TrainerConfig
from penstock.components.trainer.model import describe_outputs
from penstock.components.trainer.records import is_reading_error
from penstock.errors import ArtifactError, PenstockError, UserCodeError
from penstock.serving.saved_model import tensorflow_message
from penstock.user_code import describe_exception, user_frames

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FitOutcome:
    """What came of training.

    Args:
        history: One value an epoch for the loss and each metric, ``val_`` before those of the evaluation split.
        steps: Training steps, a count of global batches.
        wall_seconds: Time in ``fit``, validation included.
    """

    history: dict[str, list[float]]
    steps: int
    wall_seconds: float


def fit_model(model: Any, training: Any, evaluation: Any, config: TrainerConfig) -> FitOutcome:
    """Train a compiled model in place.

    Args:
        model: The model, built under its strategy.
        training: Batches of (inputs, label), one pass.
        evaluation: Batches of (inputs, label), one pass.
        config: The Trainer's parameters.

    Raises:
        ArtifactError: The loss became NaN or infinite, or TensorFlow could not compute a step.
        UserCodeError: Model, label, loss and metrics do not fit each other, or the user's layers raise.
    """
    watch = StepWatch(config)
    started = time.monotonic()
    with _training_errors(model, config):
        history = model.fit(
            training.repeat() if config.steps else training,
            epochs=config.epochs or 1,
            steps_per_epoch=config.steps,
            validation_data=evaluation,
            callbacks=[watch],
            verbose=0,
            shuffle=False,
        ).history
    wall_seconds = time.monotonic() - started
    return FitOutcome(
        {name: [float(value) for value in values] for name, values in history.items()}, watch.steps, wall_seconds
    )


class StepWatch(keras.callbacks.Callback):
    """Counts steps, logs a line an epoch and raises when the loss is NaN or infinite.

    Keras's own TerminateOnNaN ends the training without a sign that it failed.
    """

    def __init__(self, config: TrainerConfig) -> None:
        super().__init__()
        self.steps = 0
        self._config = config
        self._epoch_start = 0.0
        self._epoch_first_step = 0

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002
        """Remember when and at which step the epoch began."""
        self._epoch_start = time.monotonic()
        self._epoch_first_step = self.steps

    def on_train_batch_end(self, batch: int, logs: Mapping[str, float] | None = None) -> None:  # noqa: ARG002
        """Count the step and check its loss."""
        self.steps += 1
        self._require_finite((logs or {}).get("loss", 0.0))

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Log the epoch's metrics."""
        seconds = time.monotonic() - self._epoch_start
        steps = self.steps - self._epoch_first_step
        values = ", ".join(f"{name} {value:.4g}" for name, value in sorted((logs or {}).items()))
        whole = "" if self._config.steps else f"epoch {epoch + 1}/{self._config.epochs}: "
        _log.info("%s%d steps in %.1f s, %s", whole, steps, seconds, values)

    def _require_finite(self, loss: float) -> None:
        if math.isfinite(loss):
            return
        raise ArtifactError(
            f"the loss is {float(loss)} after step {self.steps}; nothing is exported",
            received=f"a mean loss of {float(loss)} over the epoch so far",
            expected="a finite loss",
            hint="lower the learning rate, look for NaN or huge values in the features, or scale them in Transform",
        )


@contextmanager
def _training_errors(model: Any, config: TrainerConfig) -> Iterator[None]:
    """Tell what the user's model, label and loss have to do with an exception out of ``fit``."""
    try:
        yield
    except PenstockError:
        raise
    except tf.errors.OpError as error:
        if is_reading_error(error):
            raise
        message = tensorflow_message(error)
        raise ArtifactError(
            f"training stopped: {message}",
            received=f"label {config.label!r}, outputs {describe_outputs(model)}",
            hint=f"label {config.label!r} holds a value that is no class of the model's output"
            if "label value" in message
            else None,
        ) from error
    except Exception as error:
        raise UserCodeError(
            f"the model of {config.model_fn!r} cannot be trained on label {config.label!r}: "
            f"{describe_exception(error)}",
            received=f"outputs {describe_outputs(model)}, loss {_loss_name(model)}",
            expected="inputs, label, output, loss and metrics whose shapes and types fit each other",
            frames=user_frames(error),
        ) from error


def _loss_name(model: Any) -> str:
    loss = model.loss
    return loss if isinstance(loss, str) else getattr(loss, "name", type(loss).__name__)
