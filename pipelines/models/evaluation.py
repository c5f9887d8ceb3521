"""The figures of an Evaluator, read without TensorFlow: importing what wrote them takes ten seconds."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from penstock.errors import ArtifactError
from penstock.metadata.evaluations import OVERALL
from penstock.serving.protos import message

_DEFINITION = "tensorflow_model_analysis/proto/metrics_for_slice.proto"
_MESSAGE = "tensorflow_model_analysis.MetricsForSlice"
_HEADER = struct.Struct("<QI")
_FOOTER_BYTES = 4


def metrics_by_slice(evaluation: Path) -> dict[str, dict[str, float]]:
    """Return slice → metric → value: all rows first, then slices and metrics sorted by name.

    Args:
        evaluation: Folder of a ModelEvaluation.

    Raises:
        ArtifactError: A file is cut off or no evaluation.
    """
    found: dict[str, dict[str, float]] = {}
    for file in sorted(evaluation.glob("metrics-*.tfrecord")):
        for record in _records(file):
            metrics = message(_MESSAGE, _DEFINITION).FromString(record)
            values = found.setdefault(_slice_name(metrics.slice_key.single_slice_keys), {})
            for pair in metrics.metric_keys_and_values:
                if pair.value.WhichOneof("type") == "double_value":
                    values[pair.key.name] = float(pair.value.double_value.value)
    names = sorted(found, key=lambda name: (name != OVERALL, name))
    return {name: dict(sorted(found[name].items())) for name in names}


def _slice_name(keys: Any) -> str:
    parts = ((key.column, getattr(key, kind)) for key in keys if (kind := key.WhichOneof("kind")))
    return ", ".join(f"{column}={_text(value)}" for column, value in parts) or OVERALL


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _records(file: Path) -> Iterator[bytes]:
    """Yield the records of an uncompressed TFRecord file."""
    data = file.read_bytes()
    position = 0
    while position < len(data):
        head = data[position : position + _HEADER.size]
        size = _HEADER.unpack(head)[0] if len(head) == _HEADER.size else len(data)
        start = position + _HEADER.size
        position = start + size + _FOOTER_BYTES
        if position > len(data):
            raise ArtifactError("the evaluation's file is cut off", where=str(file), hint="run the Evaluator again")
        yield data[start : start + size]
