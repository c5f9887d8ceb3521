from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Literal

import pytest

from penstock.components.trainer.options import InputOptions
from penstock.components.trainer.schedule import Passes
from penstock.components.trainer.sharding import BatchPlan
from tests.components.trainer.data import ToyData, separable_rows, write_shard


def parser(toy: ToyData, *inputs: str) -> Any:
    from penstock.components.trainer.input_pipeline import RowParser
    from penstock.components.trainer.preprocessing import load_preprocessing

    preprocessing = load_preprocessing(None, toy.schema)
    return RowParser(preprocessing.raw_spec, preprocessing.apply, inputs, "label")


def test_features_and_labels_stay_together(toy: ToyData) -> None:
    from penstock.components.trainer.input_pipeline import training_data
    from penstock.components.trainer.records import Split

    split = Split(toy.train, (128, 128))
    batches = list(training_data(split, parser(toy, "point"), InputOptions(), BatchPlan(100), Passes(1, 1)))
    assert [len(label) for _, label in batches] == [100, 100, 56]
    for inputs, label in batches:
        points = inputs["point"].numpy()
        assert (points[:, 1] > points[:, 0]).astype(int).tolist() == label.numpy()[:, 0].tolist()


@pytest.mark.parametrize("cache", ["none", "memory"])
def test_rows_of_different_length_are_padded_to_the_longest_of_their_batch(
    toy: ToyData, tmp_path: Path, cache: Literal["none", "memory"]
) -> None:
    from penstock.components.trainer.input_pipeline import evaluation_data, training_data
    from penstock.components.trainer.records import Split

    rows = [{**row, "tags": ["x"] * (number // 4)} for number, row in enumerate(separable_rows(11, seed=1))]
    split = Split((write_shard(tmp_path / "long.gz", rows),), (11,))
    options, plan = InputOptions(cache=cache, shuffle_buffer=0), BatchPlan(4)
    wanted = [[[]] * 4, [[b"x"]] * 4, [[b"x", b"x"]] * 3]
    tags = partial(map, lambda batch: batch[0]["tags"].numpy().tolist())
    assert list(tags(training_data(split, parser(toy, "tags"), options, plan, Passes(0, 1)))) == wanted
    evaluation = evaluation_data(split, parser(toy, "tags"), options, BatchPlan(4, replicas=2))
    assert list(tags(evaluation)) == [*wanted, []]
    assert [inputs["tags"].shape for inputs, _ in evaluation] == [(4, 0), (4, 1), (3, 2), (0, 0)]


def test_missing_values_become_empty_or_zero(toy: ToyData) -> None:
    from penstock.components.trainer.input_pipeline import evaluation_data
    from penstock.components.trainer.records import Split

    rows = evaluation_data(Split(toy.evaluation, (64,)), parser(toy, "weight", "tags"), InputOptions(), BatchPlan(4))
    inputs, _ = next(iter(rows))
    assert inputs["weight"].shape == (4, 1)
    assert inputs["weight"].numpy()[0].tolist() == [0.0]
    assert inputs["tags"].numpy().tolist()[:2] == [[b"", b"", b""], [b"a", b"", b""]]
