from __future__ import annotations

import json
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_runner_api_pb2
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing import test_stream
from apache_beam.testing.util import assert_that, equal_to
from apache_beam.transforms.window import TimestampedValue

from penstock.components.batch_inference.beam.elements import Selection
from penstock.components.batch_inference.beam.model_handler import SavedModelHandler
from penstock.components.batch_inference.beam.pubsub import MessageStream, score_json, score_messages
from penstock.components.batch_inference.request import PinnedModel
from penstock.errors import ConfigError

_MESSAGES = [
    b'{"id": 1, "x": [1, 2], "note": "a"}',
    b'{"id": 2, "x": [0.1, -2], "note": "b"}',
    b'{"x": [3, 4], "note": "c"}',
    b'{"id": 4, "x": "one", "note": "d"}',
    b"{not json",
    b"[1, 2]",
    b"\xff",
    b'{"id": 8, "x": [0.1, 0.2], "note": "\xc3\xa9"}',
]
_RESULTS = [
    {"key": 1, "note": "a", "sum": 6.0, "y": [2.0, 4.0]},
    {"key": 8, "note": "é", "sum": 0.6, "y": [0.2, 0.4]},
]
_ERRORS = [
    "the column 'id' is missing",
    "the feature 'x' is no list: it should be written as [1, 2.5]",
    "the model refuses it: ",
    "the row is no JSON object",
    "the row is no JSON: ",
    "the row is no JSON: ",
]


def _plain(messages: list[bytes]) -> list[Any]:
    return sorted((json.loads(message) for message in messages), key=lambda message: str(message.get("key")))


def test_messages_become_results_or_errors(scaler: PinnedModel):
    def results(found: list[bytes]) -> None:
        assert _plain(found) == _RESULTS

    def errors(found: list[bytes]) -> None:
        told = sorted((json.loads(message) for message in found), key=lambda message: str(message["cause"]))
        assert [error["cause"][: len(cause)] for error, cause in zip(told, _ERRORS, strict=True)] == _ERRORS
        assert told[3]["original"] == "[1, 2]"
        assert {json.dumps(error["original"]) for error in told[4:]} == {'"{not json"', '{"b64": "/w=="}'}
        assert told[0]["original"] == {"x": [3, 4], "note": "c"}

    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        messages = pipeline | beam.Create(_MESSAGES)
        told = score_json(messages, Selection("id", ("note",)), SavedModelHandler(scaler.path))
        assert_that(told.results, results, "results")
        assert_that(told.errors, errors, "errors")


def test_a_batch_of_a_stream_is_complete_by_size_or_time(scaler: PinnedModel):
    stream = test_stream.TestStream()
    stream.add_elements([TimestampedValue(message, 1) for message in (_MESSAGES[0], _MESSAGES[7], _MESSAGES[0])])
    stream.advance_processing_time(10)
    stream.advance_watermark_to_infinity()
    handler = SavedModelHandler(scaler.path, outputs=["sum"], max_batch_size=2, max_batch_duration_secs=5)
    with beam.Pipeline(options=PipelineOptions(["--streaming"])) as pipeline:
        told = score_json(pipeline | stream, Selection(), handler)
        assert_that(told.results, equal_to([b'{"sum":6.0}', b'{"sum":0.6}', b'{"sum":6.0}']))


@pytest.mark.parametrize("kind", ["subscriptions", "topics"])
@pytest.mark.usefixtures("no_credentials")
def test_the_pipeline_reads_and_writes_what_it_should(scaler: PinnedModel, kind: str):
    source = f"projects/project/{kind}/rows"
    stream = MessageStream(source, "projects/project/topics/results", "projects/project/topics/errors", window=30)
    pipeline = beam.Pipeline(options=PipelineOptions(["--streaming"]))
    score_messages(pipeline, stream, SavedModelHandler(scaler.path, max_batch_size=7, max_batch_duration_secs=3))
    proto = pipeline.to_runner_api()
    specs = [transform.spec for transform in proto.components.transforms.values()]
    (read,) = (spec for spec in specs if spec.urn == "beam:transform:pubsub_read:v1")
    payload = beam_runner_api_pb2.PubSubReadPayload.FromString(read.payload)
    assert getattr(payload, kind.removesuffix("s")) == source
    topics = {
        transform.unique_name: beam_runner_api_pb2.LabelledPayload.FromString(item.payload).string_value
        for transform in proto.components.transforms.values()
        for item in transform.display_data
        if transform.unique_name in ("Results", "Errors") and b"Pubsub Topic" in item.payload
    }
    assert topics == {"Results": stream.results, "Errors": stream.errors}
    windows = {strategy.window_fn.urn for strategy in proto.components.windowing_strategies.values()}
    assert "beam:window_fn:fixed_windows:v1" in windows


@pytest.mark.parametrize(
    ("source", "results"), [("projects/project/rows", "projects/project/topics/t"), ("projects/project/topics/t", "t")]
)
def test_a_place_that_is_none_is_said(source: str, results: str):
    with pytest.raises(ConfigError, match="Pub/Sub has no such place"):
        MessageStream(source, results, "projects/project/topics/errors")
