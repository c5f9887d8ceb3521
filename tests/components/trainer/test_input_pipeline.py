from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penstock.components.trainer.config import InputOptions
from tests.components.trainer.data import ToyData, separable_rows, write_shard


def parser(toy: ToyData, *inputs: str) -> Any:
    from penstock.components.trainer.input_pipeline import RowParser
    from penstock.components.trainer.preprocessing import load_preprocessing

    preprocessing = load_preprocessing(None, toy.schema)
    return RowParser(preprocessing.raw_spec, preprocessing.apply, inputs, "label")


def passes(dataset: Any, count: int) -> list[list[Any]]:
    return [[(inputs["point"].numpy(), label.numpy()) for inputs, label in dataset] for _ in range(count)]


def points(batches: list[Any]) -> list[list[float]]:
    return [point.tolist() for inputs, _ in batches for point in inputs]


@pytest.mark.parametrize("cache", ["none", "memory"])
@pytest.mark.parametrize("buffer", [0, 300])
def test_one_pass_gives_every_row_once(toy: ToyData, cache: Any, buffer: int) -> None:
    from penstock.components.trainer.input_pipeline import training_data
    from penstock.components.trainer.records import Split

    options = InputOptions(cache=cache, shuffle_buffer=buffer)
    make = [training_data(Split(toy.train, 256), parser(toy, "point"), options, batch=100, seed=s) for s in (3, 3, 4)]
    assert int(make[0].cardinality()) == 3
    (first, second), (same, _), (other, _) = (passes(dataset, 2) for dataset in make)
    assert [len(label) for _, label in first] == [100, 100, 56]
    assert points(first) == points(same)
    assert sorted(points(first)) == sorted(points(second)) == sorted(points(other))
    shuffled = buffer > 0
    assert (points(first) != points(second)) is shuffled
    assert (points(first) != points(other)) is shuffled
    for inputs, label in first:
        assert (inputs[:, 1] > inputs[:, 0]).astype(int).tolist() == label[:, 0].tolist()


def test_rows_of_different_length_are_padded_alike_with_and_without_memory(toy: ToyData, tmp_path: Path) -> None:
    from penstock.components.trainer import input_pipeline
    from penstock.components.trainer.input_pipeline import training_data
    from penstock.components.trainer.records import Split

    rows = [{**row, "tags": ["x"] * (number // 1024)} for number, row in enumerate(separable_rows(2050, seed=1))]
    split = Split((write_shard(tmp_path / "long.gz", rows),), 2050)
    assert input_pipeline._BLOCK_ROWS == 1024
    options = InputOptions(cache="memory", shuffle_buffer=0)
    ((inputs, _),) = list(training_data(split, parser(toy, "tags"), options, batch=4096, seed=0))
    assert inputs["tags"].shape == (2050, 2)
    assert inputs["tags"].numpy()[[0, 1024, 2049]].tolist() == [[b"", b""], [b"x", b""], [b"x", b"x"]]


@pytest.mark.parametrize("cache", ["none", "memory"])
def test_evaluation_ends_and_keeps_the_order(toy: ToyData, cache: Any) -> None:
    from penstock.components.trainer.input_pipeline import evaluation_data
    from penstock.components.trainer.records import Split

    dataset = evaluation_data(Split(toy.evaluation, 64), parser(toy, "point"), InputOptions(cache=cache), batch=48)
    assert int(dataset.cardinality()) == 2
    first, second = passes(dataset, 2)
    assert points(first) == points(second)
    wanted = [row["point"] for row in separable_rows(64, seed=2)]
    assert np.allclose(points(first), wanted)


def test_missing_values_become_empty_or_zero(toy: ToyData) -> None:
    from penstock.components.trainer.input_pipeline import evaluation_data
    from penstock.components.trainer.records import Split

    rows = evaluation_data(Split(toy.evaluation, 64), parser(toy, "weight", "tags"), InputOptions(), batch=4)
    inputs, _ = next(iter(rows))
    assert inputs["weight"].shape == (4, 1)
    assert inputs["weight"].numpy()[0].tolist() == [0.0]
    assert inputs["tags"].numpy().tolist()[:2] == [[b"", b"", b""], [b"a", b"", b""]]
