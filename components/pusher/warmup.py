"""Warm-up requests made of real rows: a model answers them before it is published, a server before it serves it."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.components.pusher.config import WARM_UP_LIMIT
from penstock.errors import ArtifactError
from penstock.serving.saved_model import SignatureInfo, TensorInfo, read_signatures, tensorflow_message

if TYPE_CHECKING:
    from numpy.typing import NDArray

_KINDS = {"float_list": "float", "int64_list": "integer", "bytes_list": "string"}


@dataclass(frozen=True)
class WarmUpRequests:
    """Requests ready for ``assets.extra/tf_serving_warmup_requests``.

    Attributes:
        content: The TFRecord file of PredictionLog.
        requests: How many there are.
        left_out: Signatures that take no such rows.
    """

    content: bytes
    requests: int
    left_out: tuple[str, ...]


def warm_up_requests(model: Path, name: str, files: Sequence[str], rows: int) -> WarmUpRequests:
    """Make a predict request of each of the first rows, for every signature that takes such rows.

    A signature is asked by the names of its inputs where the rows have such features, otherwise with the whole
    serialized row where it takes one string.

    Args:
        model: The SavedModel.
        name: The model's name on the server.
        files: TFRecord files of tf.Example, ``.gz`` where they are compressed.
        rows: Rows to take, a count; fewer where all signatures together would be asked more than TF Serving allows.

    Raises:
        ArtifactError: There is no row, a file is damaged, or no signature takes such rows.
    """
    signatures = read_signatures(model)
    examples = list(islice(_rows(files), min(rows, WARM_UP_LIMIT // max(1, len(signatures)))))
    if not examples:
        raise ArtifactError(
            "there is no row to make warm-up requests of",
            where=files[0].rpartition("/")[0] if files else None,
            expected="at least one tf.Example",
            hint="choose another `warmup.split`, or leave `warmup` out",
        )
    asked = {signature.name: _requests(signature, name, examples) for signature in signatures}
    records = [record for found in asked.values() for record in found]
    if not records:
        raise ArtifactError(
            "no signature takes the rows of `examples`",
            where=str(model),
            received="; ".join(_described(signature) for signature in signatures) or "no signature",
            expected="a signature that takes serialized tf.Examples, or features of the rows by name",
            hint="wire `examples` to the raw examples, or leave `warmup` out",
        )
    left_out = tuple(signature for signature, found in asked.items() if not found)
    return WarmUpRequests(_tf_record(records), len(records), left_out)


def _rows(files: Sequence[str]) -> Iterator[bytes]:
    import tensorflow as tf

    for file in files:
        dataset = tf.data.TFRecordDataset(file, "GZIP" if file.endswith(".gz") else "")
        try:
            for row in dataset:
                yield row.numpy()
        except tf.errors.OpError as error:
            raise ArtifactError(
                f"the examples cannot be read: {tensorflow_message(error)}",
                where=file,
                expected="an intact TFRecord file",
                hint="run the step that wrote it again without cache",
            ) from error


def _requests(signature: SignatureInfo, name: str, examples: Sequence[bytes]) -> list[bytes]:
    """Return a serialized PredictionLog for each row; none if one of the rows is nothing that the signature takes."""
    import tensorflow as tf
    from tensorflow_serving.apis import prediction_log_pb2

    records = []
    for example in examples:
        inputs = _inputs(signature, example)
        if inputs is None:
            return []
        log = prediction_log_pb2.PredictionLog()
        request = log.predict_log.request
        request.model_spec.name, request.model_spec.signature_name = name, signature.name
        for tensor in signature.inputs:
            value = tf.make_tensor_proto(inputs[tensor.name], tensor.dtype)
            request.inputs[tensor.name].CopyFrom(value)
        records.append(log.SerializeToString(deterministic=True))
    return records


def _inputs(signature: SignatureInfo, example: bytes) -> dict[str, NDArray[Any]] | None:
    import numpy as np
    from google.protobuf.message import DecodeError
    from tensorflow.core.example import example_pb2

    try:
        features = example_pb2.Example.FromString(example).features.feature
    except DecodeError as error:
        raise ArtifactError(f"a row is no tf.Example: {error}", expected="tf.Examples in `examples`") from error
    columns = {
        tensor.name: _column(tensor, features[tensor.name]) for tensor in signature.inputs if tensor.name in features
    }
    if len(columns) == len(signature.inputs):
        known = {name: value for name, value in columns.items() if value is not None}
        return known if known and len(known) == len(columns) else None
    if len(signature.inputs) != 1:
        return None
    (only,) = signature.inputs
    takes_rows = only.dtype == "string" and (only.shape is None or len(only.shape) == 1)
    return {only.name: np.array([example], dtype=object)} if takes_rows else None


def _column(tensor: TensorInfo, feature: Any) -> NDArray[Any] | None:
    """Return a feature of one row as a batch of one, or None where it has another type or number of values."""
    import numpy as np
    import tensorflow as tf

    kind = feature.WhichOneof("kind")
    dtype = tf.as_dtype(tensor.dtype)
    found = "string" if dtype == tf.string else "float" if dtype.is_floating else "integer" if dtype.is_integer else ""
    if kind is None or _KINDS[kind] != found:
        return None
    values = list(getattr(feature, kind).value)
    shape = [1, *(() if tensor.shape is None else tensor.shape[1:])]
    size = math.prod(length for length in shape if length is not None)
    if shape.count(None) > 1 or (None not in shape and len(values) != size) or (size and len(values) % size):
        return None
    rest = [len(values) // max(size, 1) if length is None else length for length in shape]
    return np.array(values, dtype=object if dtype == tf.string else dtype.as_numpy_dtype).reshape(rest)


def _described(signature: SignatureInfo) -> str:
    inputs = ", ".join(f"{tensor.name}: {tensor.dtype}" for tensor in signature.inputs)
    return f"{signature.name}({inputs})"


def _tf_record(records: Sequence[bytes]) -> bytes:
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "requests")
        with tf.io.TFRecordWriter(str(file)) as writer:
            for record in records:
                writer.write(record)
        return file.read_bytes()
