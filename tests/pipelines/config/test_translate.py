"""Pydantic's errors about a ``with`` block, in our own words."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from penstock.pipelines.config import problems_from_pydantic
from tests.pipelines.config.conftest import Project


class Mirrored(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    name: Literal["mirrored"]
    workers: int = Field(default=1, ge=1, le=8, description="Workers, a count.")


class Plain(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    name: Literal["plain"]
    device: str = "cpu"


class Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    epochs: int = Field(description="Passes over the data.")
    rate: float | None = Field(default=None, gt=0)
    mode: Literal["fast", "exact"] = "fast"
    strategy: Annotated[Mirrored | Plain, Field(discriminator="name")] = Plain(name="plain")
    either: Mirrored | Plain | None = None
    shapes: dict[str, list[Mirrored]] = {}
    code: str = Field(default="abc", pattern="^[a-c]+$", max_length=5)

    @field_validator("epochs")
    @classmethod
    def _not_thirteen(cls, epochs: int) -> int:
        if epochs == 13:
            raise ValueError("13 brings bad luck.")
        return epochs

    @model_validator(mode="after")
    def _slow_is_exact(self) -> Parameters:
        if self.rate == 0.5 and self.mode == "fast":
            raise ValueError("a rate of 0.5 needs the exact mode")
        return self


@pytest.mark.parametrize(
    ("block", "message", "path", "hint"),
    [
        ("epochs: five", "expected an integer, received the text 'five' at W.epochs", "epochs", None),
        ("epochs: '5'", "expected an integer, received the text '5' at W.epochs", "epochs", "remove the quotes"),
        ("epochs: 5.0", "expected an integer, received the number 5.0 at W.epochs", "epochs", None),
        ("epochs: true", "expected an integer, received true at W.epochs", "epochs", None),
        ("epochs: 13", "W.epochs: 13 brings bad luck", "epochs", None),
        ("epochs: 1, rate: 0", "expected more than 0, received the integer 0 at W.rate", "rate", None),
        ("epochs: 1, rate: 0.5", "W: a rate of 0.5 needs the exact mode", "", None),
        (
            "epochs: 1, mode: fst",
            "expected 'fast' or 'exact', received the text 'fst' at W.mode",
            "mode",
            "did you mean 'fast'?",
        ),
        (
            "epochs: 1, code: xyz",
            "expected text that matches ^[a-c]+$, received the text 'xyz' at W.code",
            "code",
            None,
        ),
        (
            "epochs: 1, code: aaaaaa",
            "expected at most 5 characters, received the text 'aaaaaa' at W.code",
            "code",
            None,
        ),
        (
            "epochs: 1, strategy: {name: mirored}",
            "expected one of 'mirrored', 'plain', received the text 'mirored' at W.strategy.name",
            "strategy.name",
            "did you mean 'mirrored'?",
        ),
        ("epochs: 1, strategy: {workers: 1}", "missing required key 'name' in W.strategy", "strategy", None),
        (
            "epochs: 1, strategy: 5",
            "expected a mapping, received the integer 5 at W.strategy",
            "strategy",
            "its keys are name, workers, device",
        ),
        (
            "epochs: 1, strategy: plain",
            "expected a mapping, received the text 'plain' at W.strategy",
            "strategy",
            "write {name: plain}",
        ),
        (
            "epochs: 1, strategy: {name: mirrored, worker: 1}",
            "unknown key 'worker' in W.strategy",
            "strategy.worker",
            "did you mean 'workers'?",
        ),
        (
            "epochs: 1, strategy: {name: mirrored, workers: 9}",
            "expected at most 8, received the integer 9 at W.strategy.workers",
            "strategy.workers",
            None,
        ),
        (
            "epochs: 1, either: {name: plain, device: 5}",
            "expected text, received the integer 5 at W.either.device",
            "either.device",
            "put it in quotes",
        ),
        ("epochs: 1, either: 5", "expected a mapping, received the integer 5 at W.either", "either", None),
        (
            "epochs: 1, shapes: {a: [{name: mirrored, workrs: 1}]}",
            "unknown key 'workrs' in W.shapes.a.0",
            "shapes.a.0.workrs",
            "did you mean 'workers'?",
        ),
        ("rate: 1", "missing required key 'epochs' in W", "epochs_parent", None),
    ],
)
def test_the_with_block_of_others(project: Project, block: str, message: str, path: str, hint: str | None) -> None:
    prefix = ("steps", "trainer", "with")
    document = project.load(f"{Project.HEAD}steps:\n  trainer:\n    component: T\n    with: {{{block}}}\n").document
    with pytest.raises(ValidationError) as caught:
        Parameters.model_validate(document.value(prefix))
    (problem,) = problems_from_pydantic(document, caught.value, prefix, Parameters)
    assert problem.message == message.replace("W", "steps.trainer.with")
    assert problem.hint == hint
    assert problem.mark is not None
    assert problem.mark.line == 6
    if path != "epochs_parent":
        assert ".".join(map(str, problem.path)).removeprefix("steps.trainer.with").removeprefix(".") == path
