from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penstock.components.batch_inference.beam.row_scorer import Failed, RowScorer
from penstock.components.batch_inference.features.example_spec import example_features
from penstock.components.batch_inference.pinned import pin
from penstock.components.batch_inference.scoring.scorer import SavedModelScorer, SavedModelSpec
from tests.components.batch_inference.scaler import save_scaler


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_scaler(tmp_path_factory.mktemp("model") / "scaler", 2)


@pytest.fixture(scope="module")
def by_name(model: Path) -> Iterator[SavedModelScorer]:
    scorer = SavedModelSpec(pin(model), "serving_default").open()
    yield scorer
    scorer.close()


@pytest.fixture(scope="module")
def serialized(model: Path) -> Iterator[SavedModelScorer]:
    scorer = SavedModelSpec(pin(model), "serialized", ("sum",)).open()
    yield scorer
    scorer.close()


def example(*values: float) -> bytes:
    import tensorflow as tf

    feature = {"x": tf.train.Feature(float_list=tf.train.FloatList(value=values))}
    return bytes(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())


def _sums(answers: list[Any]) -> list[Any]:
    return [answer.cause if isinstance(answer, Failed) else float(answer["sum"]) for answer in answers]


def test_an_answer_has_each_output_of_its_row(by_name: SavedModelScorer):
    (answer,) = RowScorer(by_name).score([{"x": [1, 2]}])
    assert isinstance(answer, dict)
    assert sorted(answer) == ["sum", "y"]
    np.testing.assert_array_equal(answer["y"], np.array([2, 4], np.float32), strict=True)
    assert (answer["sum"], answer["sum"].dtype) == (6, np.float32)


@pytest.mark.parametrize(
    "row",
    [
        {"x": [1, 2]},
        {"x": [1.0, 2], "id": 7},
        {"x": np.array([1, 2])},
        {"x": "[1, 2]"},
        {"id": 7, "x_1": 2, "x_0": 1},
        [1, 2],
        np.array([1, 2], np.float32),
        example(1, 2),
    ],
)
def test_a_row_may_be_written_in_many_ways(row: Any, by_name: SavedModelScorer):
    assert _sums(RowScorer(by_name).score([row, row])) == [6, 6]


def test_a_signature_that_takes_examples_gets_them(model: Path, serialized: SavedModelScorer):
    features = example_features(model)
    assert _sums(RowScorer(serialized, features).score([example(1, 2), example(3, 4)])) == [6, 14]
    assert _sums(RowScorer(serialized, features).score([{"x": [1, 2]}, {"x": [3.5, 4]}])) == [6, 15]
    assert _sums(RowScorer(serialized, features).score([{"examples": example(1, 2)}])) == [6]


def test_without_knowing_what_is_parsed_bytes_go_in_as_they_are(serialized: SavedModelScorer):
    assert _sums(RowScorer(serialized).score([example(1, 2), {"examples": example(3, 4)}])) == [6, 14]


def test_a_bad_row_costs_itself_only(by_name: SavedModelScorer):
    good = {"x": [1, 2]}
    rows = [
        good,
        {"x": [-1, 2]},
        {"x": ["one", "two"]},
        good,
        {"y": [1, 2]},
        {"x": [1, 2, 3]},
        {"x": [float("nan"), 1]},
        {"x": None},
        {"x": {"a": 1}},
        good,
    ]
    answers = _sums(RowScorer(by_name).score(rows))
    refusal = answers.pop(1)
    assert refusal.startswith("the model refuses it: ")
    assert "a number is negative" in refusal
    assert answers == [
        6,
        "the feature 'x' holds string, and the signature takes float32",
        6,
        "the feature 'x' is missing",
        "the feature 'x' has 3 values, and the signature takes [2]",
        "the feature 'x' is NaN",
        "the feature 'x' is missing",
        "the feature 'x' holds {'a': 1}, and the signature takes float32",
        6,
    ]


def test_a_nan_may_be_kept(by_name: SavedModelScorer):
    (answer,) = RowScorer(by_name, nan="keep").score([{"x": [float("nan"), 1]}])
    assert isinstance(answer, dict)
    assert np.isnan(answer["sum"])


def test_a_row_that_is_no_example_costs_itself_only(model: Path, serialized: SavedModelScorer):
    answers = RowScorer(serialized, example_features(model)).score([example(1, 2), b"\xff\xff", example(3, 4)])
    assert answers == [{"sum": 6}, Failed("the model refuses it: Could not parse example input"), {"sum": 14}]


def test_no_rows_have_no_answers(by_name: SavedModelScorer):
    assert RowScorer(by_name).score([]) == []
