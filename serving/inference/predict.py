"""Predict: tensors by name in, tensors by name out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from penstock.serving.errors import Code, ServingError
from penstock.serving.inference.kinds import Array, data_type, type_name
from penstock.serving.inference.model import Model
from penstock.serving.inference.tensors import fill, to_array, unsent_bytes

DEFAULT_SIGNATURE = "serving_default"
"""The signature that answers a request which names none."""
_ANY_TYPE = 0


def predict(servable: Model, request: Any, *, as_content: bool = False) -> Any:
    """Answer a ``PredictRequest``.

    Args:
        servable: The version that answers.
        request: The request; its ``model_spec`` has already chosen the version.
        as_content: Send arrays as ``tensor_content`` instead of the typed fields.

    Returns:
        A ``PredictResponse`` with the outputs of the filter, or all of the signature, and a ``model_spec`` that names
        the version and signature which really answered.

    Raises:
        ServingError: No such signature, inputs or outputs it has not, the model could not compute the answer, or the
            protocol has no such tensor.
    """
    name = request.model_spec.signature_name or DEFAULT_SIGNATURE
    signature = servable.signatures.get(name)
    if signature is None:
        raise ServingError(Code.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.')
    inputs = _inputs(signature, request.inputs)
    wanted = _outputs(signature, request.output_filter)
    answer = servable.run(name, inputs, wanted)
    response = _response_type()()
    write_spec(response.model_spec, servable, request.model_spec)
    for alias in wanted:
        try:
            fill(response.outputs[alias], answer[alias], signature.outputs[alias].dtype, as_content=as_content)
        except ValueError as error:
            raise ServingError(Code.UNIMPLEMENTED, f"the output {alias} cannot be sent: {error}") from error
    return response


@cache
def _response_type() -> Any:
    # An import that has long been made still costs a microsecond each time.
    from tensorflow_serving.apis import predict_pb2

    return predict_pb2.PredictResponse


def unsent(request: Any) -> int:
    """Return the bytes that a ``PredictRequest`` asks for beyond its own: of values that its tensors only stand for."""
    return sum(map(unsent_bytes, request.inputs.values()))


def write_spec(spec: Any, servable: Model, asked: Any) -> None:
    """Fill the ``model_spec`` of a response: the name as asked for, the version and signature that answered."""
    spec.name = asked.name
    spec.signature_name = asked.signature_name or DEFAULT_SIGNATURE
    spec.version.value = servable.version


def _inputs(signature: Any, sent: Any) -> dict[str, Array]:
    names = signature.inputs
    if len(sent) > len(names) or (len(sent) < len(names) and not signature.defaults):
        raise ServingError(Code.INVALID_ARGUMENT, _wrong_number(set(names), set(sent)))
    inputs = {}
    used = 0
    for alias in names:
        if alias in sent:
            proto = sent[alias]
            used += 1
        elif alias in signature.defaults:
            proto = signature.defaults[alias]
        else:
            raise ServingError(
                Code.INVALID_ARGUMENT,
                f"Signature input alias: {alias}(feed name: {names[alias].name}) not found in request and no default "
                f"value provided. Inputs expected to be in the request {{{_joined(sent)}}}, or default input alias "
                f"set: {_joined(signature.defaults)}",
            )
        inputs[alias] = _array(alias, proto)
    if used != len(sent):
        raise ServingError(
            Code.INVALID_ARGUMENT,
            f"Inputs contains invalid name. Used request inputs: {_joined(set(sent) & set(names))}, request input: "
            f"{_joined(sent)}",
        )
    _check_types(names, inputs)
    return inputs


def _check_types(names: Any, inputs: Mapping[str, Array]) -> None:
    """Compare types, as a session does before it runs; a compiled call would not say it in the same words."""
    for position, alias in enumerate(sorted(inputs, key=lambda alias: names[alias].name)):
        expected, found = names[alias].dtype, data_type(inputs[alias])
        if expected not in (found, _ANY_TYPE):
            raise ServingError(
                Code.INVALID_ARGUMENT,
                f"Expects arg[{position}] to be {type_name(expected)} but {type_name(found)} is provided",
            )


def _array(alias: str, proto: Any) -> Array:
    try:
        return to_array(proto)
    except ValueError as error:
        raise ServingError(Code.INVALID_ARGUMENT, f"tensor parsing error: {alias}") from error


def _outputs(signature: Any, wanted: Sequence[str]) -> list[str]:
    if not wanted:
        return sorted(signature.outputs)
    seen: set[str] = set()
    for alias in wanted:
        if alias not in signature.outputs:
            raise ServingError(
                Code.INVALID_ARGUMENT,
                f"output tensor alias not found in signature: {alias} Outputs expected to be in the set "
                f"{{{_joined(signature.outputs)}}}.",
            )
        if alias in seen:
            raise ServingError(Code.INVALID_ARGUMENT, f"duplicate output tensor alias: {alias}")
        seen.add(alias)
    return list(wanted)


def _wrong_number(names: set[str], sent: set[str]) -> str:
    return (
        f"input size does not match signature: {len(sent)}!={len(names)} len({{{_joined(sent)}}}) != "
        f"len({{{_joined(names)}}}). Sent extra: {{{_joined(sent - names)}}}. Missing but required: "
        f"{{{_joined(names - sent)}}}."
    )


def _joined(names: Iterable[str]) -> str:
    return ",".join(sorted(names))
