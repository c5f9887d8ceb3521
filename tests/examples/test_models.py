"""The examples' models, built as a training step builds them."""

import csv
import io
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from examples.digits.model import build_model as build_digits
from examples.digits.sources import from_sklearn
from examples.wine.data import to_csv
from examples.wine.model import CATEGORIES
from examples.wine.model import build_model as build_wine

Inputs = dict[str, tuple[tuple[int, ...], str]]


@pytest.fixture(scope="module")
def keras() -> Any:
    import keras

    keras.utils.set_random_seed(1)
    return keras


def _context(keras: Any, inputs: Inputs, units: int) -> SimpleNamespace:
    def make() -> dict[str, Any]:
        return {name: keras.Input(shape, name=name, dtype=dtype) for name, (shape, dtype) in inputs.items()}

    return SimpleNamespace(keras=keras, inputs=make, hparams=SimpleNamespace(units=units, learning_rate=0.006))


def test_digits_reach_95_percent_in_5_epochs(keras: Any):
    digits = from_sklearn()
    images = {name: {"image": split.images.reshape(-1, 8, 8, 1) / 16} for name, split in digits.items()}
    model = build_digits(_context(keras, {"image": ((8, 8, 1), "float32")}, units=64))
    model.jit_compile = False  # As in a training step; XLA, which Keras would choose, takes longer to compile it.
    model.fit(images["train"], digits["train"].labels, batch_size=64, epochs=5, verbose=0)
    _, accuracy = model.evaluate(images["eval"], digits["eval"].labels, verbose=0)
    assert accuracy >= 0.95


@pytest.mark.parametrize("side", [5, 28])
def test_digits_of_other_sizes_fit_the_model(keras: Any, side: int):
    model = build_digits(_context(keras, {"image": ((side, side, 1), "float32")}, units=8))
    assert model({"image": np.zeros((3, side, side, 1))}).shape == (3, 10)


def test_wine_learns_from_all_columns(keras: Any):
    rows = list(csv.DictReader(io.StringIO(to_csv())))
    measured = [name for name in rows[0] if name not in {"color_band", "cultivar"}]
    table = np.array([[float(row[name]) for name in measured] for row in rows])
    scores = (table - table.mean(0)) / table.std(0)
    columns = {name: scores[:, [index]] for index, name in enumerate(measured)}
    columns["alcohol_bucket"] = np.digitize(columns["alcohol"], [-0.7, 0, 0.7])
    columns["color_band"] = np.array([[["pale", "medium", "deep"].index(row["color_band"])] for row in rows])
    labels = np.array([int(row["cultivar"]) for row in rows])

    inputs: Inputs = {name: ((1,), "int64" if name in CATEGORIES else "float32") for name in columns}
    model = build_wine(_context(keras, inputs, units=16))
    model.fit(columns, labels, batch_size=16, epochs=10, verbose=0)
    assert sorted(each.name for each in model.inputs) == sorted(columns)
    assert model.evaluate(columns, labels, verbose=0)[1] >= 0.95
