from __future__ import annotations

import textwrap
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.components.trainer.data import ToyData, write_toy_data

_numbers = count()

BUILD = """
def build(context):
    keras = context.keras
    inputs = {"point": context.inputs()["point"]}
    outputs = keras.layers.Dense(2, activation="softmax", name="scores")(inputs["point"])
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(context.hparams.get("rate", 0.1)),
                  "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
"""


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> ToyData:
    """256 separable training rows and 64 evaluation rows."""
    return write_toy_data(tmp_path_factory.mktemp("toy"))


@pytest.fixture
def user_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """Write a user's module into a project folder of its own; returns the module's name."""
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.syspath_prepend(str(project))

    def write(source: str) -> str:
        name = f"user_model_{next(_numbers)}"
        (project / f"{name}.py").write_text(textwrap.dedent(source))
        return name

    return write


@pytest.fixture
def request_for(tmp_path: Path, toy: ToyData, user_module: Callable[[str], str]) -> Callable[..., Any]:
    """Make a TrainRequest on the toy data; keywords override its fields, ``with_`` those of its config."""

    def make(source: str = BUILD, *, with_: dict[str, Any] | None = None, **fields: Any) -> Any:
        from penstock.components.trainer.config import TrainerConfig
        from penstock.components.trainer.request import SplitFiles, TrainRequest

        given = {"label": "label", "batch_size": 16, **(with_ or {})}
        config = TrainerConfig.model_validate({"model_fn": f"{user_module(source)}.build", **given})
        defaults = {
            "files": SplitFiles(toy.train, toy.evaluation, toy.evaluation),
            "saved_model": tmp_path / "model" / "Format-Serving",
            "keras_file": tmp_path / "model" / "Format-Keras" / "model.keras",
            "run_folder": tmp_path / "run",
            "schema": toy.schema,
        }
        return TrainRequest(config=config, **{**defaults, **fields})

    return make
