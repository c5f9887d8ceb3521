"""What is said of a training that cannot be."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from penstock.components.trainer.request import SplitFiles, TrainRequest
from penstock.errors import PenstockError

NO_FILES = SplitFiles(("nowhere",), ("nowhere",), ("nowhere",))
"""What is told of a training on these is told before data is read."""


@dataclass
class Telling:
    """Trains with functions of ``wrong_code``.

    Args:
        make: The fixture ``request_for``.
        module: The user's module.
        folder: The test's folder, which is left out of what is told.
    """

    make: Callable[..., TrainRequest]
    module: str
    folder: Path

    def __call__(self, fields: dict[str, Any] | None = None, **options: Any) -> str:
        """Train for a step, publish nothing, and return what is said.

        Args:
            fields: Those of the request.
            options: Those of the Trainer; functions are named ``model.name``. In what is told all lines are 0.
        """
        from penstock.components.trainer.train import train

        given = {"model_fn": "model.build", "steps": 1, **options}
        named = {
            key: value.replace("model.", f"{self.module}.") if key.endswith("_fn") else value
            for key, value in given.items()
        }
        request = replace(self.make(with_=named), **(fields or {}))
        with pytest.raises(PenstockError) as caught:
            train(request)
        assert not request.saved_model.exists()
        assert not request.keras_file.exists()
        text = str(caught.value).replace(str(self.folder), "").replace(f"/project/{self.module}", "model")
        return re.sub(r"(model\.py):\d+ in", r"\1:0 in", text.replace(self.module, "model"))


def telling(make: Callable[..., TrainRequest], user_module: Callable[[str], str], folder: Path) -> Telling:
    """Return what trains with functions of ``wrong_code``; arguments are the fixtures."""
    code = Path(__file__).with_name("wrong_code.py").read_text(encoding="utf-8")
    return Telling(make, user_module(code), folder)
