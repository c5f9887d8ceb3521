"""Descriptions of components, their ports and parameters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Literal

Kind = Literal["bool", "int", "float", "str", "list", "map", "proto", "enum", "function", "path", "any"]


@dataclass(frozen=True)
class ValueType:
    """The type of a parameter's value.

    Attributes:
        kind: ``function`` is the import path of a user's function, ``path`` a project-relative path or a URL.
        item: The type of a list's items or a map's values.
        message: Full name of the message, for ``proto``.
        values: Name → number, for ``enum``.
    """

    kind: Kind
    item: ValueType | None = None
    message: str | None = None
    values: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        if self.kind in ("list", "map") and self.item:
            return f"{self.kind} of {self.item}"
        if self.kind == "enum":
            return " | ".join(self.values)
        names = {
            "bool": "true or false",
            "int": "an integer",
            "float": "a number",
            "str": "a text",
            "function": "the import path of a function",
            "path": "a path",
            "any": "any value",
            "proto": f"a mapping ({self.message})",
        }
        return names.get(self.kind, self.kind)

    def to_json(self) -> dict[str, Any]:
        """Return only what is set, so that the generated file stays readable."""
        data: dict[str, Any] = {"kind": self.kind}
        if self.item:
            data["item"] = self.item.to_json()
        if self.message:
            data["message"] = self.message
        if self.values:
            data["values"] = dict(self.values)
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ValueType:
        """Inverse of :meth:`to_json`."""
        item = cls.from_json(data["item"]) if "item" in data else None
        return cls(data["kind"], item, data.get("message"), data.get("values", {}))


Wiring = Literal["auto", "nearest", "same_key", "resolved", "explicit"]


@dataclass(frozen=True)
class Port:
    """An input or output of a component.

    Attributes:
        type: The artifact type's name, such as ``Examples``.
        optional: Whether an input may stay unwired.
        wiring: How an input finds its producer when the config does not say. ``auto``: by type, an output of the
            same name first. ``nearest``: by type alone. ``same_key``: by type and name. ``resolved``: only from a
            Resolver step (a baseline is never this run's own model). ``explicit``: not at all.
    """

    type: str
    optional: bool = False
    wiring: Wiring = "auto"


@dataclass(frozen=True)
class Parameter:
    """A key of a step's ``with``."""

    type: ValueType
    required: bool = False


@dataclass(frozen=True)
class ComponentType:
    """A component as a config sees it.

    Attributes:
        name: The short name, or the import path where there is none.
        import_path: Where the class or ``@component`` function lives.
        inputs: Ports by the name of the constructor's argument.
        outputs: Ports by output key.
        parameters: Keys of ``with``; empty when ``config_model`` describes them.
        config_model: ``module:Class`` of the pydantic model that describes ``with``.
        one_of: Groups of parameters of which exactly one must be given.
        beam: Whether its work runs on Beam.
        deterministic: Whether the same inputs and parameters give the same result; else it is not cached by itself.
        open: Whether ``with`` and ``inputs`` cannot be known without importing the component.
    """

    name: str
    import_path: str
    inputs: Mapping[str, Port] = field(default_factory=dict)
    outputs: Mapping[str, Port] = field(default_factory=dict)
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    config_model: str | None = None
    one_of: tuple[tuple[str, ...], ...] = ()
    beam: bool = False
    deterministic: bool = True
    open: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return the description as JSON data."""
        data: dict[str, Any] = {"import_path": self.import_path}
        if self.beam:
            data["beam"] = True
        if not self.deterministic:
            data["deterministic"] = False
        for key, ports in (("inputs", self.inputs), ("outputs", self.outputs)):
            data[key] = {name: _port_to_json(port) for name, port in ports.items()}
        if self.config_model:
            data["config_model"] = self.config_model
        else:
            data["parameters"] = {
                name: {**p.type.to_json(), **({"required": True} if p.required else {})}
                for name, p in self.parameters.items()
            }
        if self.one_of:
            data["one_of"] = [list(group) for group in self.one_of]
        return data

    @classmethod
    def from_json(cls, name: str, data: Mapping[str, Any]) -> ComponentType:
        """Inverse of :meth:`to_json`."""
        return cls(
            name=name,
            import_path=data["import_path"],
            inputs={key: _port_from_json(port) for key, port in data["inputs"].items()},
            outputs={key: _port_from_json(port) for key, port in data["outputs"].items()},
            parameters={
                key: Parameter(ValueType.from_json(p), p.get("required", False))
                for key, p in data.get("parameters", {}).items()
            },
            config_model=data.get("config_model"),
            one_of=tuple(tuple(group) for group in data.get("one_of", ())),
            beam=data.get("beam", False),
            deterministic=data.get("deterministic", True),
        )


def _port_to_json(port: Port) -> dict[str, Any]:
    data: dict[str, Any] = {"type": port.type}
    if port.optional:
        data["optional"] = True
    if port.wiring != "auto":
        data["wiring"] = port.wiring
    return data


def _port_from_json(data: Mapping[str, Any]) -> Port:
    return Port(data["type"], data.get("optional", False), data.get("wiring", "auto"))


@cache
def load_components() -> dict[str, ComponentType]:
    """Return the built-in components by short name."""
    data = _read("components.json")
    return {name: ComponentType.from_json(name, entry) for name, entry in data.items()}


@cache
def load_protos() -> dict[str, Any]:
    """Return the messages that parameters use: full name → field name → description."""
    return _read("protos.json")


def _read(name: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((files(__package__) / name).read_text(encoding="utf-8"))
    return data
