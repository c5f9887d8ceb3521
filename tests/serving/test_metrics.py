from __future__ import annotations

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from penstock.serving.errors import Code, ServingError
from penstock.serving.metrics import Metrics, Timed
from penstock.serving.models.state import State, VersionStatus
from tests.serving.inference.fakes import FakeModel, definition


def samples(metrics: Metrics) -> dict[str, dict[tuple[str, ...], float]]:
    """Read the page with the official parser: name of a sample → values of its labels → number."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    page = metrics.page()
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            # The parser too wants counters to end in _total.
            name = sample.name if f"{sample.name}{{" in page else sample.name.removesuffix("_total")
            found.setdefault(name, {})[tuple(sample.labels.values())] = sample.value
    return found


def test_nothing_counted() -> None:
    assert Metrics().page() == "\n"


def serving(*names: str) -> Metrics:
    """Return the metrics of a server that has some models."""
    metrics = Metrics()
    for name in names:
        metrics.state_changed(name, VersionStatus(1, State.START))
    return metrics


def test_requests_as_tensorflow_serving_counts_them() -> None:
    metrics = serving("m")
    metrics.request("m", "Predict", "GRPC", 0.000_02)
    metrics.request("m", "Predict", "GRPC", 0.000_2)
    metrics.request("m", "Predict", "REST", 0.1, Code.NOT_FOUND)
    found = samples(metrics)
    assert found[":tensorflow:serving:request_count"] == {("m", "OK"): 2, ("m", "NOT_FOUND"): 1}
    assert found[":tensorflow:serving:request_latency_sum"] == {("m", "Predict", "GRPC"): pytest.approx(220)}
    assert found[":tensorflow:serving:request_latency_count"] == {("m", "Predict", "GRPC"): 2}
    buckets = {labels[-1]: n for labels, n in found[":tensorflow:serving:request_latency_bucket"].items()}
    assert list(buckets)[:4] == ["10", "18", "32.4", "58.32"]
    assert len(buckets) == 34
    assert (buckets["18"], buckets["32.4"], buckets["188.957"], buckets["340.122"]) == (0, 1, 1, 2)
    assert buckets["+Inf"] == 2
    assert ":tensorflow:serving:request_count counter" in metrics.page()


def test_runtime_and_examples() -> None:
    metrics = Metrics()
    metrics.runtime("m", "Regress", 0.001)
    metrics.examples("m", 3)
    found = samples(metrics)
    assert found[":tensorflow:serving:runtime_latency_sum"] == {("m", "Regress", "TF1"): 1000}
    assert found[":tensorflow:serving:request_example_count_total"] == {("m",): 3}
    assert found[":tensorflow:serving:request_example_counts_bucket"][("m", "2")] == 0
    assert found[":tensorflow:serving:request_example_counts_bucket"][("m", "4")] == 1


def test_what_the_manager_tells() -> None:
    metrics = Metrics()
    metrics.state_changed("m", VersionStatus(3, State.LOADING))
    metrics.load_attempted("m", 3, 0.5, None)
    metrics.load_attempted("m", 4, 0.1, ServingError(Code.DATA_LOSS, "a byte"))
    metrics.state_changed("m", VersionStatus(3, State.AVAILABLE))
    found = samples(metrics)
    assert found[":penstock:serving:version_state"] == {("m", "3"): 30}
    assert found[":penstock:serving:load_count"] == {("m", "3", "OK"): 1, ("m", "4", "DATA_LOSS"): 1}
    assert found[":penstock:serving:load_latency_count"] == {("m",): 2}


def test_names_that_are_no_names() -> None:
    metrics = serving('a"b\\c\nd')
    metrics.request('a"b\\c\nd', "Predict", "GRPC", 0, Code.NOT_FOUND)
    assert samples(metrics)[":tensorflow:serving:request_count"] == {('a"b\\c\nd', "NOT_FOUND"): 1}


def test_callers_do_not_choose_how_much_is_kept() -> None:
    metrics = serving("m")
    for number in range(100):
        metrics.request(f"model {number}", "Predict", "REST", 0, Code.NOT_FOUND)
    metrics.request("m", "Predict", "REST", 0, Code.NOT_FOUND)
    counted = samples(metrics)[":tensorflow:serving:request_count"]
    assert counted == {("(unknown)", "NOT_FOUND"): 100, ("m", "NOT_FOUND"): 1}


def test_what_a_reload_asks_for() -> None:
    metrics = Metrics()
    assert metrics.counted("/tensorflow/serving/request_count") == 0
    metrics.request("m", "Predict", "GRPC", 0)
    assert metrics.counted("/tensorflow/serving/request_count") == 1
    assert metrics.counted("/tensorflow/serving/no_such") == 0


def test_calls_are_timed_even_if_they_fail() -> None:
    model = FakeModel(definition(["x"], ["y"]), lambda inputs: {"y": inputs["x"]})
    timed = Timed(model)
    timed.run("serving_default", {"x": np.zeros(1)}, ["y"])
    after_one = timed.seconds
    with pytest.raises(KeyError):
        timed.run("serving_default", {}, ["y"])
    assert 0 < after_one < timed.seconds
