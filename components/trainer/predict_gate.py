"""The predict gate: an exported model must answer real rows as the model in memory does.

The SavedModel is loaded into a clean graph, as a model server does it. TensorFlow Model Analysis accepts exports that
no server can run, so an Evaluator is no such check.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from penstock.components.trainer.config import GateOptions
from penstock.components.trainer.export import SERVING_DEFAULT, ServingModel
from penstock.errors import ArtifactError
from penstock.serving.saved_model import LoadedModel, SignatureInfo, load_in_graph

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Arrays = Mapping[str, NDArray[Any]]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SignatureCheck:
    """The gate's finding about one signature.

    Args:
        signature: The signature's name.
        rows: Rows asked, 0 if it was not checked.
        largest_difference: Over all rows and outputs, absolute up to 1 and relative above.
        not_checked: Why the signature, or some of its outputs, could not be compared; None if all were.
    """

    signature: str
    rows: int
    largest_difference: float
    not_checked: str | None = None


def check_saved_model(
    path: Path, serving: ServingModel, examples: Sequence[bytes], options: GateOptions
) -> tuple[SignatureCheck, ...]:
    """Compare every signature of a SavedModel with the model in memory.

    Args:
        path: The SavedModel.
        serving: The model in memory.
        examples: Serialized raw tf.Examples.
        options: The tolerance.

    Raises:
        ArtifactError: A signature cannot answer or answers something else, or ``serving_default`` was not checked.
    """
    expected = {name: np.asarray(value) for name, value in serving.from_examples(list(examples)).items()}
    columns = {name: np.asarray(value) for name, value in serving.columns(list(examples)).items()}
    with load_in_graph(path) as loaded:
        checks = tuple(
            _check_signature(loaded, signature, _feed(signature, examples, columns), expected, options)
            for signature in loaded.signatures
        )
    for check in checks:
        if check.not_checked:
            _log.warning("predict gate: signature %r not fully checked: %s", check.signature, check.not_checked)
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


def _feed(signature: SignatureInfo, examples: Sequence[bytes], columns: Arrays) -> Arrays | None:
    """Return what to ask a signature, or None if its inputs are neither serialized examples nor raw features."""
    names = {tensor.name for tensor in signature.inputs}
    if names and names <= set(columns):
        return {name: columns[name] for name in names}
    if len(signature.inputs) == 1 and signature.inputs[0].dtype == "string" and signature.inputs[0].shape == (None,):
        return {signature.inputs[0].name: np.array(examples, dtype=object)}
    return None


def _check_signature(
    loaded: LoadedModel, signature: SignatureInfo, feed: Arrays | None, expected: Arrays, options: GateOptions
) -> SignatureCheck:
    known = {tensor.name for tensor in signature.outputs} & set(expected)
    if feed is None:
        inputs = ", ".join(tensor.name for tensor in signature.inputs)
        return SignatureCheck(signature.name, 0, 0.0, f"inputs {inputs} are neither examples nor raw features")
    answers = loaded.call(signature.name, feed)
    unknown = sorted({tensor.name for tensor in signature.outputs} - known)
    if not known:
        return SignatureCheck(signature.name, 0, 0.0, f"outputs {', '.join(unknown)} are not the model's")
    differences = [
        _compare(signature.name, name, answers[name], expected[name], options.tolerance) for name in sorted(known)
    ]
    rows = len(expected[min(known)])
    return SignatureCheck(
        signature.name, rows, max(differences), f"outputs {', '.join(unknown)} are not the model's" if unknown else None
    )


def _compare(signature: str, output: str, got: NDArray[Any], want: NDArray[Any], tolerance: float) -> float:
    """Return the largest difference of one output.

    Raises:
        ArtifactError: It is more than the tolerance, or the shapes differ.
    """
    where = f"signature {signature!r}, output {output!r}"
    if got.shape != want.shape:
        raise ArtifactError(
            f"the exported model answers in another shape than the model in memory: {where}",
            received=f"shape {got.shape}",
            expected=f"shape {want.shape}",
        )
    difference = _differences(got, want)
    if difference.size == 0 or difference.max() <= tolerance:
        return float(difference.max(initial=0.0))
    worst = np.unravel_index(int(difference.argmax()), difference.shape)
    raise ArtifactError(
        f"the exported model answers differently from the model in memory: {where}, row {worst[0]}",
        received=f"{got[worst]} at position {[int(i) for i in worst[1:]]}, off by {difference[worst]:.3g}",
        expected=f"{want[worst]} within {tolerance:g}",
        hint="a layer that behaves at random or keeps state outside its variables cannot be exported faithfully",
    )


def _differences(got: NDArray[Any], want: NDArray[Any]) -> NDArray[np.float64]:
    """Return element by element 0 for equal; for numbers the difference, for anything else infinity."""
    if not np.issubdtype(want.dtype, np.number):
        return np.where(got == want, 0.0, np.inf)
    got, want = got.astype(np.float64), want.astype(np.float64)
    with np.errstate(invalid="ignore"):
        difference = np.abs(got - want) / np.maximum(1.0, np.abs(want))
    same = (got == want) | (np.isnan(got) & np.isnan(want))
    return np.where(same, 0.0, np.where(np.isnan(difference), np.inf, difference))
