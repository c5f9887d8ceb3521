"""JSON messages of Pub/Sub → predictions, as messages again.

At least once: after a failure a message may be scored, and its prediction sent, a second time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
import orjson
from apache_beam.io.gcp.pubsub import ReadFromPubSub, WriteToPubSub, parse_subscription, parse_topic
from apache_beam.transforms.window import FixedWindows

from penstock.components.batch_inference.beam.elements import Selection, score_rows
from penstock.components.batch_inference.beam.model_handler import SavedModelHandler
from penstock.components.batch_inference.plain import plain_value
from penstock.errors import ConfigError

_NO_OBJECT = "no_object"


@dataclass(frozen=True)
class MessageStream:
    """Messages to score.

    Attributes:
        source: ``projects/P/subscriptions/S``, or a topic, for which Beam makes a subscription that ends with the job.
        results: ``projects/P/topics/T`` for a message for each row with a prediction.
        errors: Likewise, for each row without one: its cause and the original.
        selection: What a result has besides the outputs.
        window: Length of the windows in seconds; no batch extends over two.
    """

    source: str
    results: str
    errors: str
    selection: Selection = field(default_factory=Selection)
    window: float = 60.0

    def __post_init__(self) -> None:
        if self.is_subscription:
            _require(parse_subscription, self.source, "projects/PROJECT/subscriptions/NAME")
        else:
            _require(parse_topic, self.source, "projects/PROJECT/subscriptions/NAME, or projects/PROJECT/topics/NAME")
        for topic in (self.results, self.errors):
            _require(parse_topic, topic, "projects/PROJECT/topics/NAME")

    @property
    def is_subscription(self) -> bool:
        """Whether the source is a subscription, and not a topic."""
        return "/subscriptions/" in self.source


@dataclass(frozen=True)
class Told:
    """Two PCollections of messages: JSON as bytes."""

    results: Any
    errors: Any


def score_messages(pipeline: Any, stream: MessageStream, handler: SavedModelHandler) -> None:
    """Let a pipeline score messages as long as it runs. Nothing is connected to before that.

    Args:
        pipeline: A pipeline, with the option ``--streaming``.
        stream: From where to where.
        handler: The model; its ``max_batch_size`` and ``max_batch_duration_secs`` say when a batch is complete.
    """
    kind = "subscription" if stream.is_subscription else "topic"
    messages = (
        pipeline
        | "Messages" >> ReadFromPubSub(**{kind: stream.source})
        | "Windows" >> beam.WindowInto(FixedWindows(stream.window))
    )
    told = score_json(messages, stream.selection, handler)
    _ = told.results | "Results" >> WriteToPubSub(stream.results)
    _ = told.errors | "Errors" >> WriteToPubSub(stream.errors)


def score_json(messages: Any, selection: Selection, handler: SavedModelHandler) -> Told:
    """Score rows that are JSON objects; what is none is an error.

    Args:
        messages: PCollection of bytes.
        selection: What a result has besides the outputs.
        handler: The model.
    """
    parsed = messages | "Parse" >> beam.ParDo(_Parse()).with_outputs(_NO_OBJECT, main="rows")
    scored = score_rows(parsed["rows"], handler, selection)
    results = scored.results | "Result" >> beam.Map(lambda result: orjson.dumps(plain_value(result)))
    failed = scored.errors | "Error" >> beam.MapTuple(lambda row, cause: _told(cause, row))
    return Told(results, (failed, parsed[_NO_OBJECT]) | "All errors" >> beam.Flatten())


class _Parse(beam.DoFn):
    def process(self, message: bytes) -> Iterator[Any]:
        try:
            row = orjson.loads(message)
        except orjson.JSONDecodeError as error:
            yield beam.pvalue.TaggedOutput(_NO_OBJECT, _told(f"the row is no JSON: {error.msg}", message))
            return
        if isinstance(row, dict):
            yield row
        else:
            yield beam.pvalue.TaggedOutput(_NO_OBJECT, _told("the row is no JSON object", message))


def _told(cause: str, original: Any) -> bytes:
    return orjson.dumps({"cause": cause, "original": plain_value(original)})


def _require(parse: Callable[[str], object], name: str, expected: str) -> None:
    try:
        parse(name)
    except ValueError as error:
        raise ConfigError("Pub/Sub has no such place", received=name, expected=expected) from error
