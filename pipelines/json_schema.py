"""The JSON Schema of a pipeline file, so that editors complete and flag. Generated; a test holds it to the catalog."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from penstock.pipelines.catalog import ComponentType, ValueType, load_protos
from penstock.pipelines.catalog.beam import BeamOption, beam_options
from penstock.pipelines.config import PipelineConfig
from penstock.pipelines.registry import built_in

_SUBSTITUTION = {"type": "string", "pattern": r"\$\{"}


def pipeline_schema() -> dict[str, Any]:
    """Return the schema of a whole pipeline file."""
    schema = PipelineConfig.model_json_schema(by_alias=True)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Penstock pipeline"
    schema["properties"]["extends"] = {
        "description": "File or files that this one changes: mappings merge, a list replaces a list, null deletes.",
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
    }
    # A file that extends another need not repeat anything.
    schema.pop("required", None)
    definitions: dict[str, Any] = schema["$defs"]
    step = definitions["StepConfig"]
    step.pop("required", None)
    components = built_in()
    step["properties"]["component"]["anyOf"] = [
        {"enum": [name for name in components if "." not in name]},
        {"type": "string", "pattern": r"\."},
    ]
    step["allOf"] = [_when(name, component, definitions) for name, component in components.items()]
    for name, message in load_protos().items():
        definitions[name] = _message(message)
    options = definitions["BeamConfig"]["properties"]["options"]
    options["properties"] = {name: _beam_option(option) for name, option in beam_options().items()}
    return schema


def _beam_option(option: BeamOption) -> dict[str, Any]:
    """Return the rule for an option of Beam; any may be text, a ``${…}``."""
    if option.choices:
        return {"anyOf": [{"enum": list(option.choices)}, _SUBSTITUTION]}
    kinds = {"bool": ["boolean"], "int": ["integer"], "float": ["number"], "list": ["array", "number"], "json": []}
    return {"type": [*kinds.get(option.kind, ["number"]), "string"]}


def _when(name: str, component: ComponentType, definitions: dict[str, Any]) -> dict[str, Any]:
    """Return the rule for the steps of one component."""
    inputs = {key: {"description": f"{port.type}: step.output"} for key, port in component.inputs.items()}
    properties = {
        "with": _parameters(component, definitions),
        "inputs": {"type": "object", "properties": inputs, "additionalProperties": False},
    }
    return {
        "if": {"properties": {"component": {"const": name}}, "required": ["component"]},
        "then": {"properties": properties},
    }


def _parameters(component: ComponentType, definitions: dict[str, Any]) -> dict[str, Any]:
    if component.config_model:
        module, _, attribute = component.config_model.partition(":")
        schema: dict[str, Any] = getattr(import_module(module), attribute).model_json_schema(
            ref_template="#/$defs/{model}"
        )
        definitions.update(schema.pop("$defs", {}))
        schema.pop("required", None)
        return _substitutable(schema)
    properties = {name: _value(parameter.type) for name, parameter in component.parameters.items()}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _substitutable(schema: dict[str, Any]) -> dict[str, Any]:
    """Let each top-level property be a ``${…}`` as well."""
    properties = schema.get("properties", {})
    return {**schema, "properties": {name: {"anyOf": [entry, _SUBSTITUTION]} for name, entry in properties.items()}}


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    fields = {name: _value(ValueType.from_json(entry)) for name, entry in message["fields"].items()}
    return {"type": "object", "properties": fields, "additionalProperties": False}


def _value(value: ValueType) -> dict[str, Any]:
    return {"anyOf": [_plain(value), _SUBSTITUTION, {"type": "null"}]}


_SCALARS: Mapping[str, dict[str, Any]] = {
    "bool": {"type": "boolean"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "str": {"type": "string"},
    "function": {"type": "string", "description": "Import path of a function."},
    "path": {"type": "string", "description": "Path relative to the project, or a URL."},
    "any": {},
}


def _plain(value: ValueType) -> dict[str, Any]:
    item = value.item or ValueType("any")
    match value.kind:
        case "list":
            return {"type": "array", "items": _value(item)}
        case "map":
            return {"type": "object", "additionalProperties": _value(item)}
        case "proto":
            return {"$ref": f"#/$defs/{value.message}"}
        case "enum":
            return {"enum": [*value.values, *value.values.values()]}
        case _:
            return dict(_SCALARS[value.kind])
