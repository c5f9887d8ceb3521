"""Artifact types of our own. Their names and properties are data: properties may be added, never changed."""

from __future__ import annotations

from typing import ClassVar

from tfx.types.artifact import Artifact, Property, PropertyType

MODEL_FILE = "model.tflite"
"""The flatbuffer in a :class:`TFLiteModel`'s folder, with all its signatures."""

_TEXT, _COUNT, _NUMBER = (Property(kind) for kind in (PropertyType.STRING, PropertyType.INT, PropertyType.FLOAT))


class TFLiteModel(Artifact):
    """A LiteRT flatbuffer of one quantization mode, and what it costs against the SavedModel that it was made of.

    ``mode``, ``blessed`` (0 or 1) and ``reason`` are always set, the rest where it was measured. Errors and the drop
    are absolute; ``drop`` is how much worse the metric is than the SavedModel's, whichever direction is better.
    ``latency_p50_us`` is the median of one call in microseconds at the first thread count, ``latency_ratio`` what it
    is of the SavedModel's.
    """

    TYPE_NAME = "TFLiteModel"
    PROPERTIES: ClassVar = {
        "mode": _TEXT,
        "blessed": _COUNT,
        "reason": _TEXT,
        "size_bytes": _COUNT,
        "digest": _TEXT,
        "signatures": _TEXT,
        "metric": _TEXT,
        "metric_value": _NUMBER,
        "baseline_value": _NUMBER,
        "drop": _NUMBER,
        "max_abs_error": _NUMBER,
        "mean_abs_error": _NUMBER,
        "class_flips": _COUNT,
        "latency_p50_us": _NUMBER,
        "latency_ratio": _NUMBER,
        "arena_bytes": _COUNT,
    }
