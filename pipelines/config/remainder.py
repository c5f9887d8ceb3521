"""What is left of a configuration when the wrong parts are taken out, so that one mistake does not hide the others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from penstock.pipelines.config.models import PipelineConfig
from penstock.pipelines.config.words import Path

_STAND_INS = {"pipeline": "unnamed", "root": "runs"}


def without_wrong(data: dict[str, Any], wrong: Iterable[Path]) -> tuple[PipelineConfig | None, frozenset[str]]:
    """Return the configuration without the wrong top-level keys and steps, and the names of those steps.

    A step of which only ``with`` holds something wrong is kept: its wires can be judged.

    Args:
        data: The whole document.
        wrong: The paths of all that is wrong in it.

    Returns:
        None when the steps as a whole are wrong, or too little is left to be a configuration.
    """
    paths = set(wrong)
    steps = data.get("steps")
    if ("steps",) in paths or not isinstance(steps, dict):
        return None, frozenset()
    left_out = frozenset(
        str(path[1]) for path in paths if path[0:1] == ("steps",) and (len(path) < 4 or path[2] != "with")
    )
    wrong_keys = {path[0] for path in paths if path and path[0] not in ("steps", "vars")}
    kept = {key: value for key, value in data.items() if key not in wrong_keys}
    kept_steps = {name: step for name, step in steps.items() if name not in left_out}
    try:
        config = PipelineConfig.model_validate({**_STAND_INS, **kept, "steps": kept_steps})
    except ValidationError:
        return None, frozenset()  # The caller reports what is wrong with it.
    return config, left_out & steps.keys()


def follows_from(path: Path, wrong: Iterable[Path]) -> bool:
    """Return whether a problem at ``path`` may be no more than an effect of those that were found before.

    That is so at and below a wrong value, and for a step as a whole of which a part is wrong.
    """
    return any(
        path[: len(cause)] == cause or (len(path) > 1 and cause[: len(path)] == path) for cause in wrong if cause
    )
