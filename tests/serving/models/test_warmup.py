from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penstock.serving.batching_config import BatchingOptions
from penstock.serving.errors import Code, ServingError
from penstock.serving.models.loader import load_servable
from penstock.serving.models.servable import Servable
from penstock.serving.models.warmup import WARMUP_FILE, replay
from tests.serving.models.conftest import CLASSIFY, REGRESS

Write = Callable[..., None]


def _example(value: float) -> Any:
    import tensorflow as tf

    return tf.train.Example(features={"feature": {"v": {"float_list": {"value": [value]}}}})


def _predict(columns: int = 2, signature: str = "serving_default") -> Any:
    import tensorflow as tf
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

    log = PredictionLog()
    log.predict_log.request.model_spec.signature_name = signature
    log.predict_log.request.inputs["x"].CopyFrom(tf.make_tensor_proto(np.ones((1, columns), np.float32)))
    return log


def _classify() -> Any:
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

    log = PredictionLog()
    log.classify_log.request.model_spec.signature_name = "classify"
    log.classify_log.request.input.example_list.examples.append(_example(1.0))
    return log


def _regress() -> Any:
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

    log = PredictionLog()
    log.regress_log.request.model_spec.signature_name = "regress"
    log.regress_log.request.input.example_list.examples.append(_example(1.0))
    return log


def _multi() -> Any:
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

    log = PredictionLog()
    request = log.multi_inference_log.request
    request.input.example_list.examples.append(_example(1.0))
    for method, signature in ((CLASSIFY, "classify"), (REGRESS, "regress")):
        task = request.tasks.add(method_name=method)
        task.model_spec.name, task.model_spec.signature_name = "m", signature
    return log


class Counting(Servable):
    """A loaded version that knows which signatures were called."""

    calls: list[str]

    def run(self, signature: str, *args: Any, **kwargs: Any) -> dict[str, np.ndarray]:
        """Call it."""
        self.calls.append(signature)
        return super().run(signature, *args, **kwargs)


@pytest.fixture
def servable(model: Path) -> Iterator[Counting]:
    servable = load_servable("m", 1, model)
    servable.__class__ = Counting
    assert isinstance(servable, Counting)
    servable.calls = []
    yield servable
    servable.close()


def test_every_kind_is_replayed_in_order(servable: Counting, model: Path, record: Write):
    record(model, _predict(), _classify(), _regress(), _multi(), _predict(signature="single"))
    assert replay(servable, model) == 5
    assert servable.calls == ["serving_default", "classify", "regress", "classify", "regress", "single"]


def test_a_model_without_requests_has_none(servable: Counting, model: Path):
    assert replay(servable, model) == 0


def test_a_record_without_a_request_is_passed_over(servable: Counting, model: Path, record: Write):
    record(model, b"")
    assert replay(servable, model) == 1
    assert servable.calls == []


def test_a_thousand_are_replayed_and_no_more(servable: Counting, model: Path, record: Write):
    record(model, *[b""] * 1000)
    assert replay(servable, model) == 1000
    record(model, *[b""] * 1001)
    with pytest.raises(ServingError) as caught:
        replay(servable, model)
    assert (caught.value.code, caught.value.message) == (
        Code.INVALID_ARGUMENT,
        f"Number of warmup records exceeds the maximum (1000) at {model}/{WARMUP_FILE}",
    )


def test_a_request_that_the_model_cannot_answer_fails_the_load(model: Path, record: Write):
    record(model, _predict(), _predict(columns=3))
    with pytest.raises(ServingError, match="Matrix size-incompatible") as caught:
        load_servable("m", 1, model)
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_unless_it_is_not_asked_for(model: Path, record: Write):
    record(model, _predict(columns=3))
    load_servable("m", 1, model, warm_up=False).close()


def test_a_signature_that_is_not_there(model: Path, record: Write):
    record(model, _predict(signature="none"))
    with pytest.raises(ServingError, match='Serving signature key "none" not found'):
        load_servable("m", 1, model)


@pytest.mark.parametrize(("kind", "number"), [("session_run_log", 5), ("predict_streamed_log", 7)])
def test_kinds_that_cannot_be_replayed(servable: Counting, model: Path, record: Write, kind: str, number: int):
    from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

    log = PredictionLog()
    if kind not in log.DESCRIPTOR.fields_by_name:
        pytest.skip("the installed stubs do not know it")
    getattr(log, kind).SetInParent()
    record(model, log)
    with pytest.raises(ServingError) as caught:
        replay(servable, model)
    assert caught.value.code is Code.UNIMPLEMENTED
    assert caught.value.message == f"Unsupported log_type for warmup: {number}"


def test_a_record_that_is_no_request(servable: Counting, model: Path, record: Write):
    record(model, b"nonsense")
    with pytest.raises(ServingError) as caught:
        replay(servable, model)
    assert (caught.value.code, caught.value.message) == (
        Code.INVALID_ARGUMENT,
        f"Failed to parse warmup record: b'nonsense' from {model}/{WARMUP_FILE}",
    )


def test_a_file_that_holds_no_records(servable: Counting, model: Path):
    (model / WARMUP_FILE).parent.mkdir(exist_ok=True)
    (model / WARMUP_FILE).write_bytes(b"This is no TFRecord file, whatever its name says.")
    with pytest.raises(ServingError, match=r"\. Please verify your warmup data is in TFRecord format\.$") as caught:
        replay(servable, model)
    assert caught.value.code is Code.DATA_LOSS


def test_requests_go_through_the_scheduler(model: Path, record: Write):
    record(model, _predict())
    servable = load_servable("m", 1, model, batching=BatchingOptions(8, 0), per_model_batching=False)
    assert "serving_default" in servable.batched
    servable.close()
