from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penstock.serving.batching_config import BatchingOptions
from penstock.serving.errors import Code, ServingError
from penstock.serving.models.batching import chosen_batching, model_batching
from penstock.serving.models.loader import load_servable
from penstock.serving.models.servable import Servable

FOREVER = 600_000_000
"""Microseconds; a batch that is to run before must be full."""


def _rows(*numbers: float) -> dict[str, np.ndarray]:
    return {"x": np.array([[number, 0.0] for number in numbers], np.float32)}


def _ask_at_once(
    servable: Servable, requests: list[dict[str, np.ndarray]], signature: str = "serving_default"
) -> list[Any]:
    """Send every request from a thread of its own; return the answers, or the errors, in their order."""
    answers: list[Any] = [None] * len(requests)

    def ask(position: int) -> None:
        try:
            answers[position] = servable.run(signature, requests[position])
        except ServingError as error:
            answers[position] = error

    threads = [threading.Thread(target=ask, args=(position,)) for position in range(len(requests))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def _load(path: Path, options: BatchingOptions) -> Servable:
    return load_servable("m", 1, path, batching=options, per_model_batching=False)


@pytest.fixture(scope="module")
def batched(exported: Path) -> Iterator[Servable]:
    """Runs batches of four rows, and only those."""
    servable = _load(exported, BatchingOptions(4, FOREVER, num_batch_threads=1))
    yield servable
    servable.close()


def test_requests_run_together_and_get_their_own_rows(batched: Servable):
    answers = _ask_at_once(batched, [_rows(1.0), _rows(2.0, 3.0), _rows(4.0)])
    assert [answer["y"].ravel().tolist() for answer in answers] == [[1.0], [2.0, 3.0], [4.0]]
    # The model itself says how many rows it was given.
    assert [answer["rows"].tolist() for answer in answers] == [[4], [4, 4], [4]]


def test_tables_are_reached_from_within_a_batch(batched: Servable):
    words = [{"word": np.array([word], object)} for word in (b"a", b"b", b"?", b"a")]
    answers = _ask_at_once(batched, words, "number")
    assert [answer["number"].tolist() for answer in answers] == [[1], [2], [-1], [1]]
    assert [answer["word"].tolist() for answer in answers] == [[b"a"], [b"b"], [b"?"], [b"a"]]


def test_chosen_outputs_share_the_batch_with_all_outputs(batched: Servable):
    alone: list[dict[str, np.ndarray]] = []
    thread = threading.Thread(target=lambda: alone.append(batched.run("serving_default", _rows(1.0), ["y"])))
    thread.start()
    answer = batched.run("serving_default", _rows(2.0, 3.0, 4.0))
    thread.join()
    assert {name: value.tolist() for name, value in alone[0].items()} == {"y": [[1.0]]}
    assert answer["rows"].tolist() == [4, 4, 4]


def test_a_signature_with_a_fixed_number_of_rows_runs_alone(batched: Servable):
    assert batched.batched == {"serving_default", "number", "regress", "classify"}
    assert batched.run("single", _rows(5.0))["y"].tolist() == [[5.0]]


def test_a_request_may_be_no_larger_than_a_batch(batched: Servable):
    with pytest.raises(ServingError) as caught:
        batched.run("serving_default", _rows(*range(5)))
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert caught.value.message.startswith("Task size 5 is larger than maximum input batch size 4")


def test_a_batch_runs_when_its_time_has_come(exported: Path):
    servable = _load(exported, BatchingOptions(64, 1000))
    assert servable.run("serving_default", _rows(1.0, 2.0))["rows"].tolist() == [2, 2]
    servable.close()


def test_batches_are_padded_to_an_allowed_size(exported: Path):
    options = BatchingOptions(8, 0, allowed_batch_sizes=(4, 8))
    servable = _load(exported, options)
    answer = servable.run("serving_default", _rows(1.0, 2.0, 3.0))
    assert answer["rows"].tolist() == [4, 4, 4]
    assert answer["y"].ravel().tolist() == [1.0, 2.0, 3.0]
    assert servable.run("serving_default", _rows(*range(5)))["rows"].tolist() == [8] * 5
    servable.close()


def test_large_requests_are_split_when_asked_for(exported: Path):
    servable = _load(exported, BatchingOptions(4, FOREVER, split_large=True))
    answers = _ask_at_once(servable, [_rows(1.0, 2.0, 3.0), _rows(4.0, 5.0, 6.0), _rows(7.0, 8.0)])
    assert [answer["y"].ravel().tolist() for answer in answers] == [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0]]
    assert {row for answer in answers for row in answer["rows"].tolist()} == {4}
    servable.close()


def test_what_would_wait_behind_too_many_batches_is_refused(exported: Path):
    """One thread, a queue for one batch: of many requests at once, those that find neither are told so."""
    options = BatchingOptions(1, 0, max_enqueued_batches=1, num_batch_threads=1)
    servable = _load(exported, options)
    refused: list[ServingError] = []
    while not refused:
        answers = _ask_at_once(servable, [_rows(float(number)) for number in range(16)])
        refused = [answer for answer in answers if isinstance(answer, ServingError)]
    assert {error.code for error in refused} == {Code.UNAVAILABLE}
    assert refused[0].message.startswith("The batch scheduling queue to which this task was submitted is full")
    servable.close()


def test_one_bad_request_fails_its_batch_as_in_tf_serving(batched: Servable):
    answers = _ask_at_once(batched, [_rows(1.0, 2.0), {"x": np.ones((2, 3), np.float32)}])
    assert all(isinstance(answer, ServingError) for answer in answers)


def test_a_model_of_tensorflow_1(exported_v1: Path):
    servable = _load(exported_v1, BatchingOptions(2, FOREVER))
    answers = _ask_at_once(servable, [{"x": np.array([value], np.float32)} for value in (2.0, 5.0)])
    assert [answer["y"].tolist() for answer in answers] == [[6.0], [15.0]]
    assert [answer["same"].tolist() for answer in answers] == [[2.0], [5.0]]
    servable.close()


class TestModelFile:
    def test_the_models_own_file_counts_but_for_the_threads(self, model: Path):
        (model / "batching_params.pbtxt").write_text("max_batch_size { value: 2 } num_batch_threads { value: 3 }")
        assert model_batching(model) == BatchingOptions(max_batch_size=2, num_batch_threads=3)
        common = BatchingOptions(64, num_batch_threads=5)
        assert chosen_batching(model, common, per_model=True) == BatchingOptions(2, num_batch_threads=5)
        servable = load_servable("m", 1, model, batching=common)
        with pytest.raises(ServingError, match="Task size 3 is larger than maximum input batch size 2"):
            servable.run("serving_default", _rows(1.0, 2.0, 3.0))
        servable.close()

    def test_then_a_model_without_one_is_not_batched(self, model: Path):
        servable = load_servable("m", 1, model, batching=BatchingOptions(64))
        assert servable.batched == frozenset()
        servable.close()

    def test_it_counts_where_nothing_else_is_given(self, model: Path):
        (model / "batching_params.pbtxt").write_text("max_batch_size { value: 2 }")
        assert chosen_batching(model, None, per_model=True) == BatchingOptions(max_batch_size=2)

    def test_unless_it_is_to_be_passed_over(self, model: Path):
        (model / "batching_params.pbtxt").write_text("max_batch_size { value: 2 }")
        servable = load_servable("m", 1, model, per_model_batching=False)
        assert servable.batched == frozenset()
        servable.close()

    def test_a_model_without_one_says_nothing(self, model: Path):
        assert model_batching(model) is None

    @pytest.mark.parametrize(("content", "message"), [(b"nonsense", "no field named"), (b"\xff", "can't decode")])
    def test_one_that_is_malformed_fails_the_load(self, model: Path, content: bytes, message: str):
        path = model / "batching_params.pbtxt"
        path.write_bytes(content)
        with pytest.raises(ServingError) as caught:
            load_servable("m", 1, model)
        assert caught.value.code is Code.INVALID_ARGUMENT
        assert caught.value.message.startswith(f"Invalid protobuf file: '{path}': ")
        assert message in caught.value.message
