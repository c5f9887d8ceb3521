"""The predict gate: an exported model must answer real rows as the model in memory does.

The SavedModel is loaded into a clean graph, as a model server does it. TensorFlow Model Analysis accepts exports that
no server can run, so an Evaluator is no such check.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from penstock.components.trainer.export import ServingModel
from penstock.components.trainer.keras_backend import Keras, resolution
from penstock.components.trainer.options import GateOptions
from penstock.components.trainer.signatures import SERVING_DEFAULT, Signature
from penstock.errors import ArtifactError
from penstock.serving.saved_model import LoadedModel, SignatureInfo, TensorInfo, load_in_graph, read_signatures
from penstock.user_code import user_code_boundary

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[Any]]

_log = logging.getLogger(__name__)
ROUNDINGS = 4
"""A graph may round after other operations than eager execution does: differences of this many units in the last place
of the coarsest type involved are accepted, even where the tolerance is smaller."""


@dataclass(frozen=True)
class SignatureCheck:
    """The gate's finding about one signature.

    Args:
        signature: The signature's name.
        rows: Rows asked, 0 if it was not checked.
        largest_difference: Over all rows and outputs, absolute up to 1 and relative above.
        not_checked: Why the signature could not be compared; None if it was.
    """

    signature: str
    rows: int
    largest_difference: float
    not_checked: str | None = None


def check_saved_model(
    path: Path, serving: ServingModel, examples: Sequence[bytes], options: GateOptions, keras: Keras
) -> tuple[SignatureCheck, ...]:
    """Compare every signature of a SavedModel with the same function in memory, on the same rows.

    Args:
        path: The SavedModel.
        serving: The model in memory.
        examples: Serialized raw tf.Examples.
        options: The tolerance. Where layers compute in a coarser type than it, e.g. bfloat16, it is
            :data:`ROUNDINGS` units in the last place of that type.
        keras: The model's Keras.

    Raises:
        ArtifactError: A signature cannot answer or answers something else, or ``serving_default`` was not checked.
        UserCodeError: A user's signature cannot answer in memory.
    """
    tolerance = max(options.tolerance, ROUNDINGS * keras.resolution(serving.model))
    # Memory is asked first: inside the block TensorFlow does not execute eagerly.
    questions = _questions(serving, examples, read_signatures(path))
    with load_in_graph(path) as loaded:
        checks = tuple(_check(loaded, question, tolerance) for question in questions)
    for check in checks:
        if check.not_checked:
            _log.warning("predict gate: signature %r not checked: %s", check.signature, check.not_checked)
        else:
            _log.info("predict gate: signature %r equals memory on %d rows", check.signature, check.rows)
    if not any(check.signature == SERVING_DEFAULT and check.rows for check in checks):
        raise ArtifactError(
            f"the exported model has no signature {SERVING_DEFAULT!r} that could be checked",
            where=str(path),
            received=", ".join(check.signature for check in checks) or "no signature",
            expected=f"{SERVING_DEFAULT!r}, which takes serialized tf.Examples or raw features by name",
        )
    return checks


@dataclass(frozen=True)
class _Question:
    """What a signature is asked, and what memory answers; ``feed`` is None where it cannot be asked."""

    signature: str
    rows: int = 0
    feed: Arrays | None = None
    want: Arrays = field(default_factory=dict)
    obstacle: str | None = None


def _questions(
    serving: ServingModel, examples: Sequence[bytes], signatures: Iterable[SignatureInfo]
) -> list[_Question]:
    functions = {signature.name: signature for signature in serving.signatures()}
    columns = {name: np.asarray(value) for name, value in serving.columns(list(examples)).items()}
    serialized: NDArray[Any] = np.array(examples, dtype=object)

    def question(signature: SignatureInfo) -> _Question:
        function, feed = functions.get(signature.name), _feed(signature.inputs, columns, serialized)
        if function is None:
            return _Question(signature.name, obstacle="there is no such function in memory")
        if feed is None:
            inputs = ", ".join(tensor.name for tensor in signature.inputs)
            return _Question(signature.name, obstacle=f"inputs {inputs} are neither examples nor raw features")
        return _Question(signature.name, len(examples), feed, _in_memory(function, feed))

    return [question(signature) for signature in signatures]


def _check(loaded: LoadedModel, question: _Question, tolerance: float) -> SignatureCheck:
    if question.feed is None:
        return SignatureCheck(question.signature, 0, 0.0, question.obstacle)
    got, want = loaded.call(question.signature, question.feed), question.want
    _require_same_outputs(question.signature, got, want)
    compare = _comparison(question.signature, tolerance)
    largest = max((compare(name, got[name], want[name]) for name in sorted(want)), default=0.0)
    return SignatureCheck(question.signature, question.rows, largest)


def _feed(inputs: Sequence[TensorInfo], columns: Arrays, serialized: NDArray[Any]) -> Arrays | None:
    """Return what to ask a signature, or None if its inputs are neither serialized examples nor raw features."""
    if inputs and all(_takes(tensor, columns.get(tensor.name)) for tensor in inputs):
        return {tensor.name: columns[tensor.name] for tensor in inputs}
    if len(inputs) == 1 and _takes(inputs[0], serialized):
        return {inputs[0].name: serialized}
    return None


def _takes(tensor: TensorInfo, array: NDArray[Any] | None) -> bool:
    if array is None or tf.as_dtype(array.dtype).name != tensor.dtype:
        return False
    return tf.TensorShape(tensor.shape).is_compatible_with(array.shape)  # type: ignore[no-any-return]


def _in_memory(function: Signature, feed: Arrays) -> Arrays:
    with user_code_boundary(f"signature {function.name!r}"):
        return {name: np.asarray(value) for name, value in function(feed).items()}


def _require_same_outputs(signature: str, got: Arrays, want: Arrays) -> None:
    if set(got) != set(want):
        raise ArtifactError(
            f"the exported model has other outputs than the model in memory: signature {signature!r}",
            received=", ".join(sorted(got)),
            expected=", ".join(sorted(want)),
        )


def _comparison(signature: str, tolerance: float) -> Callable[[str, NDArray[Any], NDArray[Any]], float]:
    """Return a function that compares one output and returns the largest difference.

    The function raises ArtifactError if that is more than the tolerance, or if the shapes differ.
    """

    def compare(output: str, got: NDArray[Any], want: NDArray[Any]) -> float:
        where = f"signature {signature!r}, output {output!r}"
        if got.shape != want.shape:
            raise ArtifactError(
                f"the exported model answers in another shape than the model in memory: {where}",
                received=f"shape {got.shape}",
                expected=f"shape {want.shape}",
            )
        difference, allowed = _differences(got, want), max(tolerance, _roundings(want.dtype))
        if difference.size == 0 or difference.max() <= allowed:
            return float(difference.max(initial=0.0))
        worst = np.unravel_index(int(difference.argmax()), difference.shape)
        row, position = (f", row {worst[0]}", [int(index) for index in worst[1:]]) if worst else ("", [])
        raise ArtifactError(
            f"the exported model answers differently from the model in memory: {where}{row}",
            received=f"{_shown(got[worst])} at position {position}, off by {difference[worst]:.3g}",
            expected=f"{_shown(want[worst])} within {allowed:.3g}",
            hint="a layer that behaves at random or keeps state outside its variables cannot be exported faithfully",
        )

    return compare


def _roundings(dtype: np.dtype[Any]) -> float:
    kind = tf.as_dtype(dtype)
    return ROUNDINGS * resolution(kind) if kind.is_floating else 0.0


def _shown(value: Any) -> str:
    """Return a number as a person would write it: NumPy pads float16 and bfloat16 with digits that mean nothing."""
    return f"{float(value):.6g}" if tf.as_dtype(value.dtype).is_floating else repr(value)


def _differences(got: NDArray[Any], want: NDArray[Any]) -> NDArray[np.float64]:
    """Return element by element 0 for equal; for numbers the difference, for anything else infinity."""
    kind = tf.as_dtype(want.dtype)
    if not (kind.is_floating or kind.is_integer):
        return np.where(got == want, 0.0, np.inf)
    got, want = got.astype(np.float64), want.astype(np.float64)
    with np.errstate(invalid="ignore"):
        difference = np.abs(got - want) / np.maximum(1.0, np.abs(want))
    same = (got == want) | (np.isnan(got) & np.isnan(want))
    return np.where(same, 0.0, np.where(np.isnan(difference), np.inf, difference))
