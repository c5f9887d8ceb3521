"""Tells what the user's model, label and loss have to do with an exception out of a training step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from penstock.components.trainer.config import TrainerConfig
from penstock.components.trainer.model import describe_outputs
from penstock.components.trainer.records import is_reading_error
from penstock.errors import ArtifactError, EnvironmentProblem, PenstockError, UserCodeError
from penstock.serving.saved_model import tensorflow_message
from penstock.user_code import describe_exception, user_frames

PEER_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
)
"""What TensorFlow raises when another task of the cluster no longer answers."""


@contextmanager
def training_errors(model: Any, config: TrainerConfig) -> Iterator[None]:
    """Translate what building, tracing and running training steps raises.

    Raises:
        ArtifactError: TensorFlow could not compute a step.
        EnvironmentProblem: Another process of the cluster is gone.
        UserCodeError: Model, label, loss and metrics do not fit each other, or the user's code raises inside a step.
    """
    try:
        yield
    except PenstockError:
        raise
    except PEER_LOST as error:
        raise EnvironmentProblem(
            f"another process of the cluster is gone: {tensorflow_message(error)}",
            hint="see the logs of the other tasks; max_restarts lets the training go on from its last checkpoint",
        ) from error
    except tf.errors.OpError as error:
        if is_reading_error(error):
            raise
        raise _step_failed(error, model, config) from error
    except Exception as error:
        raise _not_trainable(error, model, config) from error


def not_finite(what: str, step: int, where: str, kept: int | None) -> ArtifactError:
    """Return the error for a loss that became NaN or infinite.

    Args:
        what: The loss, or what else became so.
        step: The step, counted from 1.
        where: The step's place in the epoch.
        kept: Step of the last checkpoint, or None if there is none.
    """
    checkpoint = f"; the checkpoint after step {kept} is kept" if kept else ""
    return ArtifactError(
        f"{what} is NaN or infinite after step {step} ({where}); nothing is exported{checkpoint}",
        expected="a finite loss",
        hint="lower the learning rate, look for NaN or huge values in the features, or scale them in Transform; on a "
        "GPU a label that is no class of the model's output gives NaN as well",
    )


def _not_trainable(error: Exception, model: Any, config: TrainerConfig) -> UserCodeError:
    told, frames = describe_exception(error), user_frames(error)
    received = f"outputs {describe_outputs(model)}, loss {_loss_name(model)}"
    if frames:
        return UserCodeError(f"the model of {config.model_fn!r} raised {told}", received=received, frames=frames)
    return UserCodeError(
        f"the model of {config.model_fn!r} cannot be trained on label {config.label!r}: {told}",
        received=received,
        expected="inputs, label, output, loss and metrics whose shapes and types fit each other",
        hint=f"dataset_fn {config.dataset_fn!r} must give single (inputs, label) rows, not batches of them"
        if config.dataset_fn
        else _text_hint(model, told),
    )


def _text_hint(model: Any, told: str) -> str | None:
    """Return what to do where a layer takes no text and the model has inputs of text."""
    inputs = [tensor for tensor in getattr(model, "inputs", None) or () if tf.as_dtype(tensor.dtype) == tf.string]
    if "string" not in told or not inputs:
        return None
    names = ", ".join(repr(tensor.name) for tensor in inputs)
    return (
        f"{names} {'is' if len(inputs) == 1 else 'are'} text: number it in a Transform step, or by a StringLookup layer"
    )


def _step_failed(error: tf.errors.OpError, model: Any, config: TrainerConfig) -> PenstockError:
    message, frames = tensorflow_message(error), user_frames(error)
    if config.runtime.deterministic and "determinis" in message:
        return UserCodeError(
            f"the model of {config.model_fn!r} uses an operation that has no deterministic form: {message}",
            received="runtime.deterministic: true",
            hint="use another operation, or leave runtime.deterministic out",
            frames=frames,
        )
    if frames:
        return UserCodeError(f"training stopped: your code raised {message}", frames=frames)
    return ArtifactError(
        f"training stopped: {message}",
        received=f"label {config.label!r}, outputs {describe_outputs(model)}",
        hint=f"label {config.label!r} holds a value that is no class of the model's output"
        if "label value" in message
        else None,
    )


def _loss_name(model: Any) -> str:
    loss = model.loss
    return loss if isinstance(loss, str) else getattr(loss, "name", type(loss).__name__)
