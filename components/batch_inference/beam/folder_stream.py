"""Scores files as they arrive in a folder, for as long as nobody stops it.

Beam's ``Watch`` keeps asking :class:`Arrivals`, which names mini-batches of files; each is scored as a whole and its
results appear in one step. There is no grouping after it: the in-memory runner would only group once the stream ends.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from glob import escape
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.io.watch import PollFn, PollResult, Watch
from apache_beam.metrics import Metrics
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.window import FixedWindows, TimestampedValue
from apache_beam.utils.timestamp import Timestamp

from penstock.components.batch_inference.beam.arrivals import FileBatch, Grouping, Ledger, Waiting, look
from penstock.components.batch_inference.beam.pace import Pace
from penstock.components.batch_inference.infer import infer_here
from penstock.components.batch_inference.places import is_url
from penstock.components.batch_inference.request import InferenceRequest, PinnedModel
from penstock.components.batch_inference.running import new_pipeline, runner_errors
from penstock.errors import ConfigError, EnvironmentProblem, PenstockError
from penstock.reporting import note

_AGAIN = "start the stream again: what is published stays, and the rest is scored"
_AGAIN_SECONDS = 0.1
"""After which a runner asks again; the time between two looks at the folder is kept by :class:`Arrivals`."""


@dataclass(frozen=True)
class FolderStream:
    """What to score, and how it is put together.

    Attributes:
        request: What to do with each mini-batch; its files are the globs to watch, and its output the folder that
            gets a folder for each mini-batch.
        grouping: When a mini-batch is complete.
        poll: Seconds between two looks at the folder.
        model: Returns the model for the next mini-batch; None: that of the request, for all of them.
    """

    request: InferenceRequest
    grouping: Grouping = field(default_factory=Grouping)
    poll: float = 1.0
    model: Callable[[], PinnedModel] | None = None

    def __post_init__(self) -> None:
        for place in (*self.request.files, str(self.request.output)):
            if is_url(place):
                raise ConfigError(
                    "streams watch folders of this machine, and write to such",
                    where=place,
                    hint="score what a store holds without --stream, as often as need be, or send rows by Pub/Sub",
                )

    @property
    def output(self) -> Path:
        """The folder that gets a folder for each mini-batch."""
        return Path(str(self.request.output))


@dataclass(frozen=True)
class StreamResult:
    """What came of a stream, from its start to its end.

    Attributes:
        rows: Rows read, a count.
        errors: Rows in errors files, a count.
        failures: Mini-batch → why it has no results.
    """

    rows: int
    errors: int
    failures: Mapping[str, PenstockError]


class ScoreArrivals(beam.PTransform):
    """Pipeline → what came of each mini-batch: name, rows and errors, in the window in which its files arrived.

    Args:
        stream: What to score.
    """

    def __init__(self, stream: FolderStream) -> None:
        super().__init__()
        self._stream = stream

    def expand(self, pipeline: Any) -> Any:
        """Watch, and score."""
        arrivals = Arrivals(self._stream)
        return (
            pipeline
            | "Output" >> beam.Create([str(self._stream.output)])
            | "Arrivals" >> Watch(arrivals, poll_interval=_AGAIN_SECONDS)
            | "Batch" >> beam.Values()
            | "Windows" >> beam.WindowInto(FixedWindows(self._stream.grouping.window))
            | "Score" >> beam.ParDo(_ScoreBatch(self._stream))
        )


class Arrivals(PollFn):
    """Names the mini-batches that have no results yet.

    Args:
        stream: What to watch.
    """

    def __init__(self, stream: FolderStream) -> None:
        self._stream = stream
        # Of this process only. Another that takes over sees the files that wait a second time, and waits anew.
        self._waiting: Waiting | None = None
        self._ledger: Ledger | None = None
        self._pace = Pace(stream.poll)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_waiting": None, "_ledger": None}

    def __call__(self, _output: str) -> PollResult[str]:
        """Wait until it is time to look, look, and return what is to be scored."""
        if self._waiting is None or self._ledger is None:
            self._waiting, self._ledger = Waiting(self._stream.grouping), Ledger(self._stream.output)
        ledger = self._ledger
        self._pace.wait(until=lambda: ledger.stopping)
        stopping = ledger.stopping
        self._put_together(self._waiting, ledger, all_of_them=stopping)
        open_ones = [
            TimestampedValue(name, Timestamp(batch.seen))
            for name, batch in ledger.batches().items()
            if not ledger.is_published(name)
        ]
        if stopping:
            return PollResult.complete(open_ones)
        until = self._waiting.first_seen() or time.time()
        return PollResult.incomplete(open_ones).with_watermark(Timestamp(until))

    def _put_together(self, waiting: Waiting, ledger: Ledger, *, all_of_them: bool) -> None:
        taken = {path for batch in ledger.batches().values() for path in batch.files}
        found = {path: state for glob in self._stream.request.files for path, state in look(glob).items()}
        now = time.time()
        waiting.see({path: state for path, state in found.items() if path not in taken}, now)
        for window, files, seen in list(waiting.complete(now, all_of_them=all_of_them)):
            ledger.add(window, files, seen)


class _ScoreBatch(beam.DoFn):
    """Scores a mini-batch, unless somebody already has."""

    def __init__(self, stream: FolderStream) -> None:
        super().__init__()
        self._stream = stream
        namespace = "penstock.batch_inference"
        self._rows, self._errors = (Metrics.counter(namespace, name) for name in ("rows", "errors"))

    def process(self, name: str) -> Iterator[dict[str, Any]]:
        ledger = Ledger(self._stream.output)
        request = self._stream.request
        if self._stream.model is not None:
            request = replace(request, model=self._stream.model())
        yield from self._score(ledger, ledger.batches()[name], request)

    def _score(self, ledger: Ledger, batch: FileBatch, request: InferenceRequest) -> Iterator[dict[str, Any]]:
        files, place = tuple(map(escape, batch.files)), ledger.place(batch.name)
        try:
            result = infer_here(replace(request, files=files, output=place, work=None))
        except EnvironmentProblem as error:
            # Beam changes the text of what it passes on, if it passes on more than a text.
            ledger.write_failure(batch.name, error)
            raise
        except PenstockError as error:
            if len(batch.files) > 1:
                # Each file for itself: the one at fault shall cost no other its results.
                for part in batch.parts():
                    yield from self._score(ledger, part, request)
                return
            ledger.write_failure(batch.name, error)
            note(f"{batch.name}: no results: {error}")
            return
        self._rows.inc(result.rows)
        self._errors.inc(result.errors)
        note(f"{batch.name}: files {len(batch.files)}, rows {result.rows:,}, errors {result.errors:,}")
        yield {"batch": batch.name, "files": len(batch.files), "rows": result.rows, "errors": result.errors}


def run(stream: FolderStream, arguments: Sequence[str]) -> StreamResult:
    """Score what arrives until SIGINT or SIGTERM, or :meth:`Ledger.stop` from anywhere, asks to end.

    A second signal ends the process at once. For the main thread.

    Args:
        stream: What to score.
        arguments: Beam's pipeline options.

    Raises:
        EnvironmentProblem: Another stream writes the same output, or a place or a server cannot be reached.
    """
    ledger = Ledger(stream.output)
    with ledger.held(), _signals_to(ledger.stop) as take_signals:
        ledger.prepare()
        pipeline = new_pipeline(lambda: beam.Pipeline(options=PipelineOptions([*arguments, "--streaming"])))
        _ = pipeline | ScoreArrivals(stream)
        with runner_errors(lambda: _failure(ledger), hint=_AGAIN):
            result = pipeline.run()
            take_signals()  # Prism's job server takes SIGINT for itself when it starts.
            result.wait_until_finish()
        counters = result.metrics().query()["counters"]
        counts = {counter.key.metric.name: counter.committed for counter in counters}
        return StreamResult(counts.get("rows", 0), counts.get("errors", 0), ledger.failures())


def _failure(ledger: Ledger) -> PenstockError | None:
    return next((error for error in ledger.failures().values() if isinstance(error, EnvironmentProblem)), None)


@contextmanager
def _signals_to(stop: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """Let SIGINT and SIGTERM stop the stream; gives what takes them again, should somebody else have taken them."""

    def on_signal(number: int, _frame: object) -> None:
        # The second signal is the default again: who is in a hurry need not wait for what has arrived.
        signal.signal(number, signal.SIG_DFL)
        stop()

    def take() -> None:
        for number in before:
            signal.signal(number, on_signal)

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    take()
    try:
        yield take
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
