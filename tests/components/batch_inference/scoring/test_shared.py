"""What a process keeps of the models that it has loaded."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from penstock.components.batch_inference.scoring import scorer as module
from penstock.components.batch_inference.scoring.scorer import shared
from penstock.errors import EnvironmentProblem
from penstock.serving.saved_model import SignatureInfo


class Loaded:
    signature = SignatureInfo("s", (), ())
    parallelism = 1
    opened: ClassVar[list[str]] = []

    def score(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        pass


@dataclass(frozen=True)
class Spec:
    version: str

    def open(self) -> Loaded:
        Loaded.opened.append(self.version)
        return Loaded()


@pytest.fixture(autouse=True)
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(module, "_scorers", {})
    monkeypatch.setattr(Loaded, "opened", [])
    return Loaded.opened


def test_one_of_each(opened: list[str]):
    assert shared(Spec("a")) is shared(Spec("a"))
    assert opened == ["a"]


def test_the_two_that_were_used_last_are_kept(opened: list[str]):
    for version in "ababacbcb":
        shared(Spec(version))
    assert opened == ["a", "b", "c", "b"]


def test_what_is_not_kept_is_freed():
    first = weakref.ref(shared(Spec("a")))
    shared(Spec("b"))
    gc.collect()
    assert first() is not None
    shared(Spec("c"))
    gc.collect()
    assert first() is None


def test_what_cannot_be_opened_is_tried_again_and_costs_no_other(opened: list[str]):
    @dataclass(frozen=True)
    class Away(Spec):
        def open(self) -> Loaded:
            Loaded.opened.append(self.version)
            raise EnvironmentProblem("away")

    kept = shared(Spec("a"))
    for _ in range(2):
        with pytest.raises(EnvironmentProblem):
            shared(Away("b"))
    assert opened == ["a", "b", "b"]
    assert shared(Spec("a")) is kept
