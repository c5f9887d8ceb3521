"""Metrics in Prometheus' text format, with the names, labels and buckets that TF Serving gives them.

The official Python client cannot be used to write them: it appends ``_total`` to the name of every counter, and
dashboards for TF Serving ask for ``:tensorflow:serving:request_count``. Its parser checks ours in the tests.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any

from penstock.serving.errors import Code, ServingError
from penstock.serving.inference.kinds import Array
from penstock.serving.inference.model import Model
from penstock.serving.models.state import VersionStatus

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
DEFAULT_PATH = "/monitoring/prometheus/metrics"

_LATENCY_BUCKETS = [10 * 1.8**power for power in range(33)]
"""Upper bounds in microseconds; the last one is about 20 minutes."""
_COUNT_BUCKETS = [float(1 << power) for power in range(15)]
_UNKNOWN = "(unknown)"
"""What requests for models that were never served are counted under: their names are the callers' choice, and a metric
keeps all that it is told."""

Labels = tuple[str, ...]


class _Metric:
    """Values by label values; subclasses say what a value is.

    Args:
        name: TF Serving's own name, with slashes.
        labels: Names of the labels.
    """

    kind = ""

    def __init__(self, name: str, *labels: str) -> None:
        self.name = name
        self.exposed = "".join(c if c.isalnum() or c == "_" else ":" for c in name)
        self._labels = labels
        self._lock = threading.Lock()
        self._values: dict[Labels, Any] = {}

    def lines(self) -> list[str]:
        """Return the metric as text: its type, then a line a value."""
        with self._lock:
            values = sorted(self._values.items())
            lines = [line for labels, value in values for line in self._lines(self._label_text(labels), value)]
        return [f"# TYPE {self.exposed} {self.kind}", *lines] if lines else []

    def _lines(self, labels: str, value: Any) -> list[str]:
        return [f"{self.exposed}{{{labels}}} {value}"]

    def _label_text(self, values: Labels) -> str:
        return ",".join(f'{name}="{_escaped(value)}"' for name, value in zip(self._labels, values, strict=True))


class Counter(_Metric):
    """A number that grows."""

    kind = "counter"

    def add(self, *labels: str, amount: int = 1) -> None:
        """Add to the number with these label values."""
        with self._lock:
            self._values[labels] = self._values.get(labels, 0) + amount

    def first(self) -> int:
        """Return the number that was counted first; what a reload reports of a metric."""
        with self._lock:
            return next(iter(self._values.values()), 0)


class Gauge(_Metric):
    """A number that changes."""

    kind = "gauge"

    def set(self, *labels: str, value: float) -> None:
        """Set the number with these label values."""
        with self._lock:
            self._values[labels] = value


class Histogram(_Metric):
    """A distribution: how many values fell into each bucket, and their sum.

    Args:
        name: TF Serving's own name, with slashes.
        labels: Names of the labels.
        bounds: Upper bound of each bucket but the last, which takes all that is greater.
    """

    kind = "histogram"

    def __init__(self, name: str, *labels: str, bounds: Sequence[float] = _LATENCY_BUCKETS) -> None:
        super().__init__(name, *labels)
        self._bounds = bounds

    def add(self, *labels: str, value: float) -> None:
        """Add a value to the distribution with these label values."""
        with self._lock:
            found = self._values.get(labels)
            if found is None:
                found = self._values[labels] = [0.0] * (len(self._bounds) + 2)
            found[bisect_left(self._bounds, value)] += 1
            found[-1] += value

    def _lines(self, labels: str, value: list[float]) -> list[str]:
        lines, count = [], 0
        for bound, number in zip([*self._bounds, None], value[:-1], strict=True):
            count += int(number)
            limit = "+Inf" if bound is None else f"{bound:g}"
            lines.append(f'{self.exposed}_bucket{{{labels},le="{limit}"}} {count}')
        return [*lines, f"{self.exposed}_sum{{{labels}}} {value[-1]:g}", f"{self.exposed}_count{{{labels}}} {count}"]


class Metrics:
    """The metrics of one server. All methods may be called by any thread; it is the manager's observer too."""

    def __init__(self) -> None:
        self._models: set[str] = set()
        self._requests = Counter("/tensorflow/serving/request_count", "model_name", "status")
        self._latency = Histogram("/tensorflow/serving/request_latency", "model_name", "API", "entrypoint")
        self._runtime = Histogram("/tensorflow/serving/runtime_latency", "model_name", "API", "runtime")
        self._examples = Counter("/tensorflow/serving/request_example_count_total", "model")
        self._example_counts = Histogram("/tensorflow/serving/request_example_counts", "model", bounds=_COUNT_BUCKETS)
        # What follows is ours: TF Serving counts loads by path, and shows no states.
        self._loads = Counter("/penstock/serving/load_count", "model_name", "version", "status")
        self._load_latency = Histogram("/penstock/serving/load_latency", "model_name")
        self._states = Gauge("/penstock/serving/version_state", "model_name", "version")
        self._all: list[_Metric] = [
            self._loads, self._load_latency, self._states, self._examples, self._example_counts,
            self._requests, self._latency, self._runtime,
        ]  # fmt: skip

    def request(self, model: str, api: str, entrypoint: str, seconds: float, code: Code = Code.OK) -> None:
        """Count a request.

        Args:
            model: The name that was asked for, whether there is such a model or not.
            api: ``Predict``, ``Classify`` or ``Regress``.
            entrypoint: ``GRPC`` or ``REST``.
            seconds: How long it took; only of successful requests is this kept.
            code: How it ended.
        """
        self._requests.add(model if model in self._models else _UNKNOWN, code.name)
        if code == Code.OK:
            self._latency.add(model, api, entrypoint, value=seconds * 1e6)

    def runtime(self, model: str, api: str, seconds: float) -> None:
        """Count the time that TensorFlow took for a request."""
        self._runtime.add(model, api, "TF1", value=seconds * 1e6)

    def examples(self, model: str, count: int) -> None:
        """Count the records of a request."""
        self._examples.add(model, amount=count)
        self._example_counts.add(model, value=count)

    def state_changed(self, name: str, status: VersionStatus) -> None:
        """Show the state of a version by its number: 30 is available, 50 is ended."""
        self._models.add(name)
        self._states.set(name, str(status.version), value=int(status.state))

    def load_attempted(self, name: str, version: int, seconds: float, error: ServingError | None) -> None:
        """Count a load."""
        self._loads.add(name, str(version), (error.code if error else Code.OK).name)
        self._load_latency.add(name, value=seconds * 1e6)

    def counted(self, name: str) -> int:
        """Return the first value of a counter by TF Serving's own name; 0 if there is none."""
        return next((m.first() for m in self._all if isinstance(m, Counter) and m.name == name), 0)

    def page(self) -> str:
        """Return all metrics in Prometheus' text format."""
        return "\n".join(line for metric in self._all for line in metric.lines()) + "\n"


class Timed:
    """A version whose calls into TensorFlow are timed.

    Args:
        model: The version.

    Attributes:
        seconds: What its calls took so far.
    """

    def __init__(self, model: Model) -> None:
        self.name = model.name
        self.version = model.version
        self.signatures = model.signatures
        self.seconds = 0.0
        self._run = model.run

    def run(self, signature: str, inputs: Mapping[str, Array], outputs: Sequence[str] = ()) -> dict[str, Array]:
        """Call the version, and add to :attr:`seconds`."""
        start = perf_counter()
        try:
            return self._run(signature, inputs, outputs)
        finally:
            self.seconds += perf_counter() - start


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
