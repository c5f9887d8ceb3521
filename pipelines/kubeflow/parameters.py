"""Runtime parameters: the ``vars`` of a config that a run may set anew without compiling again."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from penstock.closest import did_you_mean
from penstock.errors import ConfigError
from penstock.pipelines.config.words import described

Type = Literal["STRING", "NUMBER_INTEGER", "NUMBER_DOUBLE", "BOOLEAN", "LIST", "STRUCT"]

_WORDS: dict[Type, str] = {
    "STRING": "text",
    "NUMBER_INTEGER": "an integer",
    "NUMBER_DOUBLE": "a number",
    "BOOLEAN": "true or false",
    "LIST": "a list",
    "STRUCT": "a mapping",
}


@dataclass(frozen=True)
class Parameter:
    """One runtime parameter.

    Attributes:
        name: Its name, as under ``vars``.
        type: KFP's name of its type.
        default: The value of a run that does not set it.
    """

    name: str
    type: Type
    default: Any

    def parse(self, value: Any) -> Any:
        """Return ``value`` as this parameter's type; KFP hands every number over as a float.

        Raises:
            ConfigError: It is of another type.
        """
        found = type_of(value)
        if self.type == "NUMBER_INTEGER" and isinstance(value, float) and value.is_integer():
            return int(value)
        if self.type == "NUMBER_DOUBLE" and found == "NUMBER_INTEGER":
            return float(value)
        if found != self.type:
            raise ConfigError(
                f"parameter '{self.name}' is {_WORDS[self.type]}",
                received=described(value),
                expected=f"{_WORDS[self.type]}, such as {json.dumps(self.default)}",
            )
        return value


def type_of(value: Any) -> Type | None:
    """Return KFP's type of a YAML value; None where it has none, as for null."""
    if isinstance(value, bool):
        return "BOOLEAN"
    if isinstance(value, float):
        return "NUMBER_DOUBLE" if math.isfinite(value) else None
    types: list[tuple[type, Type]] = [(int, "NUMBER_INTEGER"), (str, "STRING"), (list, "LIST"), (dict, "STRUCT")]
    return next((name for kind, name in types if isinstance(value, kind)), None)


def check_values(parameters: Iterable[Parameter], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a run, each of its parameter's type.

    Raises:
        ConfigError: A name is unknown or a value of the wrong type.
    """
    known = {parameter.name: parameter for parameter in parameters}
    for name in given:
        if name not in known:
            raise ConfigError(
                f"the compiled pipeline has no parameter '{name}'",
                expected=f"one of {', '.join(known)}" if known else "none: no part of it can be set at run time",
                hint=did_you_mean(name, known) or "what shapes the pipeline is set with --set when it is compiled",
            )
    return {name: known[name].parse(value) for name, value in given.items()}
