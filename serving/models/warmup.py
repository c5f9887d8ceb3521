"""Replays recorded requests before a version becomes available, so that no caller pays for the first run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from penstock.serving.errors import Code, ServingError
from penstock.serving.models.servable import Servable, code_of

WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"
"""Path, inside a SavedModel, of a TFRecord file of ``PredictionLog``."""

MAX_RECORDS = 1000
"""TF Serving refuses a model that brings more."""


def replay(servable: Servable, folder: Path) -> int:
    """Send the warm-up requests of a SavedModel to the version that was loaded from it.

    Args:
        servable: The version.
        folder: Folder of the SavedModel.

    Returns:
        How many requests were answered; 0 if it has none.

    Raises:
        ServingError: A record is damaged, of a kind that cannot be replayed, or the model cannot answer it.
    """
    from google.protobuf.message import DecodeError
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

    path = folder / WARMUP_FILE
    if not path.exists():
        return 0
    count = 0
    for record in _records(path):
        try:
            log = PredictionLog.FromString(record)
        except DecodeError as error:
            raise ServingError(
                Code.INVALID_ARGUMENT, f"Failed to parse warmup record: {record!r} from {path}"
            ) from error
        _send(servable, log)
        count += 1
        if count > MAX_RECORDS:
            raise ServingError(
                Code.INVALID_ARGUMENT, f"Number of warmup records exceeds the maximum ({MAX_RECORDS}) at {path}"
            )
    return count


def _records(path: Path) -> Iterator[bytes]:
    import tensorflow as tf

    try:
        yield from tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    except tf.errors.DataLossError as error:
        raise ServingError(
            Code.DATA_LOSS, f"{error.message}. Please verify your warmup data is in TFRecord format."
        ) from error
    except tf.errors.OpError as error:
        raise ServingError(code_of(error), f"{path}: {error.message}") from error


def _send(servable: Servable, log: Any) -> None:
    from penstock.serving.inference import classify, predict

    match log.WhichOneof("log_type"):
        case "predict_log":
            predict.predict(servable, log.predict_log.request)
        case "classify_log":
            classify.classify(servable, log.classify_log.request)
        case "regress_log":
            classify.regress(servable, log.regress_log.request)
        case "multi_inference_log":
            classify.multi_inference(servable, log.multi_inference_log.request)
        case None:
            # TF Serving passes over a record without a request.
            return
        case kind:
            number = log.DESCRIPTOR.fields_by_name[kind].number
            raise ServingError(Code.UNIMPLEMENTED, f"Unsupported log_type for warmup: {number}")
