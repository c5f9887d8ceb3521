"""The models that the serving benchmark asks, and the requests that it asks them with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

NAME = "dense"
INPUT, OUTPUT = "x", "probabilities"
WIDTH, CLASSES = 64, 10
SMALL = (64,)
"""Hidden units of a model that answers one row in microseconds: what surrounds it counts."""
WIDE = (2048, 2048)
"""Hidden units of a model that reads 17 MB of weights for one row or for sixty-four: there batches pay."""


def export(folder: Path, units: Sequence[int], seed: int) -> Path:
    """Export ``WIDTH`` floats → dense layers → a softmax of ``CLASSES``, with random weights."""
    import tensorflow as tf

    layers = []
    random = tf.random.Generator.from_seed(seed)
    for inputs, outputs in zip((WIDTH, *units), (*units, CLASSES), strict=True):
        weights = tf.Variable(random.normal([inputs, outputs]) / inputs**0.5)
        layers.append((weights, tf.Variable(tf.zeros([outputs]))))

    @tf.function(input_signature=[tf.TensorSpec([None, WIDTH], tf.float32, name=INPUT)])
    def answer(x: Any) -> Any:
        for weights, bias in layers[:-1]:
            x = tf.nn.relu(x @ weights + bias)
        weights, bias = layers[-1]
        return {OUTPUT: tf.nn.softmax(x @ weights + bias)}

    module = tf.Module()
    module.layers = layers
    module.answer = answer
    tf.saved_model.save(module, str(folder), signatures=answer)
    return folder


def rows(count: int) -> np.ndarray[Any, Any]:
    """Return ``count`` rows of random numbers, the same ones each time."""
    import numpy as np

    return np.random.default_rng(0).random((count, WIDTH), dtype=np.float32)


def predict_request(count: int) -> bytes:
    """Return a serialized ``PredictRequest`` of ``count`` rows, as TensorFlow's own helper writes it."""
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    request = predict_pb2.PredictRequest()
    request.model_spec.name = NAME
    request.model_spec.signature_name = "serving_default"
    request.inputs[INPUT].CopyFrom(tf.make_tensor_proto(rows(count)))
    return bytes(request.SerializeToString())


def rest_request(count: int) -> str:
    """Return the body of a REST request of the same rows, each number in its shortest form."""
    return json.dumps({"instances": [[float(str(number)) for number in row] for row in rows(count)]})


def protoset() -> bytes:
    """Return the descriptors of Predict and all that it imports, for a client without stubs of its own.

    The service is described here, because its official stub cannot be imported with protobuf's own parser in C.
    """
    from google.protobuf import descriptor_pb2
    from tensorflow_serving.apis import predict_pb2

    found = descriptor_pb2.FileDescriptorSet()
    for file in _with_imports(predict_pb2.DESCRIPTOR, set()):
        file.CopyToProto(found.file.add())
    package, imported = predict_pb2.DESCRIPTOR.package, predict_pb2.DESCRIPTOR.name
    described = found.file.add(name="predict_service.proto", package=package, dependency=[imported], syntax="proto3")
    described.service.add(name="PredictionService").method.add(
        name="Predict", input_type=f".{package}.PredictRequest", output_type=f".{package}.PredictResponse"
    )
    return bytes(found.SerializeToString())


def _with_imports(file: Any, seen: set[str]) -> Iterator[Any]:
    """Yield the files that a file imports, then itself, each once."""
    if file.name not in seen:
        seen.add(file.name)
        for imported in file.dependencies:
            yield from _with_imports(imported, seen)
        yield file
