"""What is written instead of a wrong value."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, ValidationError

from penstock.pipelines.config.base import STEP_NAME
from penstock.pipelines.config.remedies import remedy, remedy_for
from penstock.types import IMPORT_PATH


class Names(BaseModel):
    step: Annotated[str, Field(pattern=STEP_NAME)] = "step"
    function: Annotated[str, Field(pattern=IMPORT_PATH)] = "a.b"
    code: Annotated[str, Field(pattern="^x$")] = "x"


@pytest.mark.parametrize(
    ("expected", "value", "hint"),
    [
        ("an integer", "5", "remove the quotes"),
        ("an integer", "five", None),
        ("an integer", {"value": 5}, "write 5"),
        ("a number", {"value": 0.5}, "write 0.5"),
        ("a number", {"values": 0.5}, None),
        ("text", 5, "put it in quotes"),
        ("text", True, "put it in quotes"),
        ("a list", "eval", "write [eval]"),
        ("a list", {}, None),
        ("true or false", "Yes", "write true or false"),
        ("true or false", "true", "remove the quotes"),
        (None, "x", None),
    ],
)
def test_by_what_is_expected(expected: str | None, value: Any, hint: str | None) -> None:
    assert remedy_for(expected, value) == hint


@pytest.mark.parametrize(
    ("field", "value", "hint"),
    [
        ("step", "StatisticsGen", "write statistics_gen"),
        ("step", "my step", "write my_step"),
        ("step", "größe", "write gr_e"),
        ("step", "5", None),
        ("function", "./src/model.py:build", "write src.model.build"),
        ("function", "model:build", "write model.build"),
        ("function", "model.build()", "write model.build"),
        ("function", "build", None),
        ("code", "y", None),
    ],
)
def test_names_as_their_pattern_wants_them(field: str, value: str, hint: str | None) -> None:
    with pytest.raises(ValidationError) as caught:
        Names.model_validate({field: value})
    (error,) = caught.value.errors()
    assert remedy(error, value) == hint
