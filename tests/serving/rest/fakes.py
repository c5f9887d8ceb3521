"""Models that need no TensorFlow, and a manager that serves them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np

from penstock.serving.errors import Code, ServingError
from penstock.serving.models.state import State, VersionStatus

FLOAT, DOUBLE, INT32, UINT8, INT16, INT8, STRING, INT64, BOOL, BFLOAT16, HALF, UINT32, UINT64 = (
    1, 2, 3, 4, 5, 6, 7, 9, 10, 14, 19, 22, 23,
)  # fmt: skip

Function = Callable[[Mapping[str, Any]], dict[str, Any]]


class FakeModel:
    """One version with one signature that is a Python function."""

    def __init__(self, function: Function, inputs: Mapping[str, int], version: int = 1) -> None:
        self.name = "m"
        self.version = version
        self.signatures: Mapping[str, Any] = {
            "serving_default": SimpleNamespace(
                inputs={name: SimpleNamespace(dtype=t) for name, t in inputs.items()}, outputs={}
            )
        }
        self._function = function

    def run(
        self, signature: str, inputs: Mapping[str, np.ndarray[Any, Any]], outputs: Sequence[str] = ()
    ) -> dict[str, np.ndarray[Any, Any]]:
        assert signature == "serving_default"
        return self._function(inputs)


class FakeModels:
    """A manager with one version of each model, labelled ``stable``."""

    def __init__(self, **models: FakeModel) -> None:
        self._models = models

    @contextmanager
    def use(self, name: str, *, version: int | None = None, label: str | None = None) -> Iterator[FakeModel]:
        if label not in (None, "stable"):
            raise ServingError(Code.INVALID_ARGUMENT, f"Unrecognized servable version label: {label}")
        model = self._models.get(name)
        if model is None or version not in (None, model.version):
            which = f"Latest({name})" if version is None else f"Specific({name}, {version})"
            raise ServingError(Code.NOT_FOUND, f"Servable not found for request: {which}")
        yield model

    def status(self, name: str, version: int | None = None) -> list[VersionStatus]:
        if name not in self._models:
            raise ServingError(Code.NOT_FOUND, f"Could not find any versions of model {name}")
        return [VersionStatus(self._models[name].version, State.AVAILABLE)]


def half_plus_two(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {"y": inputs["x"] * np.float32(0.5) + np.float32(2)}
