"""Classify, Regress and MultiInference: ``tf.Example`` records in, classes or numbers out.

These APIs feed serialized records to the one input (``inputs``) of a signature and give its outputs (``classes`` and
``scores``, or ``outputs``) a fixed form.
"""

from __future__ import annotations

from typing import Any

from penstock.serving.errors import Code, ServingError
from penstock.serving.inference.kinds import Array, data_type_name
from penstock.serving.inference.model import Model
from penstock.serving.inference.predict import DEFAULT_SIGNATURE, write_spec
from penstock.serving.inference.tensors import strings

CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"
_INPUT, _CLASSES, _SCORES, _OUTPUT = "inputs", "classes", "scores", "outputs"


def classify(servable: Model, request: Any) -> Any:
    """Answer a ``ClassificationRequest`` with a ``ClassificationResponse``.

    Raises:
        ServingError: The signature is missing or no classifier, there is no record, or the model cannot answer.
    """
    from tensorflow_serving.apis import classification_pb2

    name = request.model_spec.signature_name or DEFAULT_SIGNATURE
    outputs = _classifier_outputs(_signature(servable, name))
    response = classification_pb2.ClassificationResponse()
    write_spec(response.model_spec, servable, request.model_spec)
    records = _records(request.input)
    _write_classes(response.result, servable.run(name, {_INPUT: records}, outputs), len(records))
    return response


def regress(servable: Model, request: Any) -> Any:
    """Answer a ``RegressionRequest`` with a ``RegressionResponse``.

    Raises:
        ServingError: The signature is missing or no regressor, there is no record, or the model cannot answer.
    """
    from tensorflow_serving.apis import regression_pb2

    name = request.model_spec.signature_name or DEFAULT_SIGNATURE
    outputs = _regressor_outputs(_signature(servable, name))
    response = regression_pb2.RegressionResponse()
    write_spec(response.model_spec, servable, request.model_spec)
    records = _records(request.input)
    _write_numbers(response.result, servable.run(name, {_INPUT: records}, outputs)[_OUTPUT], len(records))
    return response


def multi_inference(servable: Model, request: Any) -> Any:
    """Answer a ``MultiInferenceRequest``: several signatures of one model on the same records.

    Every task is checked before the first is run.

    Raises:
        ServingError: A task names another model, a signature twice or one that does not fit its method.
    """
    from tensorflow_serving.apis import inference_pb2

    outputs = _checked_tasks(servable, request.tasks)
    records = _records(request.input)
    response = inference_pb2.MultiInferenceResponse()
    for task, (name, wanted) in zip(request.tasks, outputs.items(), strict=True):
        answer = servable.run(name, {_INPUT: records}, wanted)
        result = response.results.add()
        write_spec(result.model_spec, servable, task.model_spec)
        if task.method_name == CLASSIFY:
            _write_classes(result.classification_result, answer, len(records))
        else:
            _write_numbers(result.regression_result, answer[_OUTPUT], len(records))
    return response


def unsent(request: Any) -> int:
    """Return the bytes that a request with an ``Input`` asks for beyond its own: the context, once for each record."""
    sent = request.input.example_list_with_context
    context: int = sent.context.ByteSize()
    return context * len(sent.examples)


def _checked_tasks(servable: Model, tasks: Any) -> dict[str, list[str]]:
    """Return the signatures of the tasks, each with the outputs to ask for."""
    found: dict[str, list[str]] = {}
    for task in tasks:
        if not task.model_spec.name:
            raise ServingError(Code.INVALID_ARGUMENT, "Found ModelSpec with an empty model name.")
        if task.model_spec.name != tasks[0].model_spec.name:
            raise ServingError(
                Code.INVALID_ARGUMENT, "All ModelSpecs in a MultiInferenceRequest must access the same model name."
            )
        name = task.model_spec.signature_name or DEFAULT_SIGNATURE
        if name in found:
            raise ServingError(Code.INVALID_ARGUMENT, f"Duplicate evaluation of signature: {name}")
        signature = servable.signatures.get(name)
        if signature is None:
            raise ServingError(Code.INVALID_ARGUMENT, f"Requested signature not found in model graph: {name}")
        if task.method_name == CLASSIFY:
            found[name] = _classifier_outputs(signature)
        elif task.method_name == REGRESS:
            found[name] = _regressor_outputs(signature)
        else:
            raise ServingError(Code.UNIMPLEMENTED, f"Unsupported signature method_name: {task.method_name}")
    return found


def _signature(servable: Model, name: str) -> Any:
    signature = servable.signatures.get(name)
    if signature is None:
        raise ServingError(Code.INVALID_ARGUMENT, f"No signature was found with the name: {name}")
    return signature


def _classifier_outputs(signature: Any) -> list[str]:
    _require(len(signature.inputs) == 1, "Expected one input Tensor.")
    number = len(signature.outputs)
    _require(number in (1, 2), f"Expected one or two output Tensors, found {number}")
    _require(_INPUT in signature.inputs, "No classification inputs found in SignatureDef: ", signature)
    outputs = [name for name in (_CLASSES, _SCORES) if name in signature.outputs]
    _require(
        bool(outputs),
        f'Expected classification signature outputs to contain at least one of "{_CLASSES}" or "{_SCORES}". '
        "Signature was: ",
        signature,
    )
    return outputs


def _regressor_outputs(signature: Any) -> list[str]:
    _require(len(signature.inputs) == 1, "Expected one input Tensor.")
    _require(len(signature.outputs) == 1, "Expected one output Tensor.")
    _require(_INPUT in signature.inputs, "No regression inputs found in SignatureDef: ", signature)
    _require(_OUTPUT in signature.outputs, "No regression outputs found in SignatureDef: ", signature)
    return [_OUTPUT]


def _records(sent: Any) -> Array:
    """Return the serialized records of an ``Input``; those of a list with a context are merged with it."""
    if sent.WhichOneof("kind") == "example_list_with_context":
        # Two serialized messages one after the other are, to every reader, one message merged.
        context = sent.example_list_with_context.context.SerializeToString()
        records = [context + example.SerializeToString() for example in sent.example_list_with_context.examples]
    else:
        records = [example.SerializeToString() for example in sent.example_list.examples]
    _require(bool(records), "Input is empty.")
    return strings(records)


def _write_classes(result: Any, answer: dict[str, Array], size: int) -> None:
    classes, scores = answer.get(_CLASSES), answer.get(_SCORES)
    for name, output, expected in (("classes", classes, "DT_STRING"), ("scores", scores, "DT_FLOAT")):
        if output is not None:
            _check_output(name, output, expected, size)
    if classes is not None and scores is not None:
        _require(
            classes.shape[1] == scores.shape[1],
            f"Tensors class and score should match in dim_size(1). Got {classes.shape[1]} vs. {scores.shape[1]}",
        )
    labels = None if classes is None else classes.tolist()
    numbers = None if scores is None else scores.tolist()
    for row in range(size):
        add = result.classifications.add().classes.add
        row_labels = labels[row] if labels is not None else [b""] * len(numbers[row])  # type: ignore[index]
        row_scores = numbers[row] if numbers is not None else [0.0] * len(row_labels)
        for label, score in zip(row_labels, row_scores, strict=True):
            add(label=_text(label), score=score)


def _check_output(name: str, output: Array, expected: str, size: int) -> None:
    _require(output.ndim == 2, f"Expected Tensor shape: [batch_size num_classes] but got {_shape(output)}")
    found = data_type_name(output)
    _require(found == expected, f"Expected {name} Tensor of {expected}. Got: {found}")
    _require(output.shape[0] == size, f"Expected {name} output batch size of {size}. Got: {output.shape[0]}")


def _write_numbers(result: Any, output: Array, size: int) -> None:
    _require(
        output.ndim == 1 or (output.ndim == 2 and output.shape[1] == 1),
        f"Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got {_shape(output)}",
    )
    _require(output.shape[0] == size, f"Input batch size did not match output batch size: {size} vs. {output.shape[0]}")
    found = data_type_name(output)
    _require(found == "DT_FLOAT", f"Expected output Tensor of DT_FLOAT.  Got: {found}")
    for value in output.ravel().tolist():
        result.regressions.add(value=value)


def _text(label: bytes) -> str:
    try:
        return label.decode()
    except UnicodeDecodeError as error:
        # The field is a proto3 string: no client could parse the reply.
        raise ServingError(Code.INTERNAL, f"a class label is not UTF-8: {label!r}") from error


def _shape(array: Array) -> str:
    return f"[{','.join(map(str, array.shape))}]"


def _require(condition: bool, message: str, signature: Any = "") -> None:  # noqa: FBT001  It reads as an assertion.
    if not condition:
        raise ServingError(Code.INVALID_ARGUMENT, f"{message}{signature}")
