"""TFX components and protos → plain descriptions. The only reader of TFX classes; imports TFX."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, cast

from penstock.errors import ConfigError
from penstock.pipelines.catalog import hints
from penstock.pipelines.catalog.types import ComponentType, Parameter, Port, ValueType, Wiring

_SCALARS: dict[Any, ValueType] = {
    bool: ValueType("bool"),
    int: ValueType("int"),
    float: ValueType("float"),
    str: ValueType("str"),
}
_SKIPPED = {"self", "custom_executor_spec"}


def describe(target: Any, *, name: str, import_path: str) -> ComponentType:
    """Describe a TFX component class or ``@component`` function.

    Args:
        target: What the import path resolved to.
        name: What the config calls it.
        import_path: Where it was found.

    Returns:
        Its ports and parameters.

    Raises:
        ConfigError: It is no component.
    """
    cls = _component_class(target)
    if cls is None:
        raise ConfigError(
            f"'{import_path}' is not a component",
            received=f"a {type(target).__name__}" if not inspect.isclass(target) else "a class of another kind",
            expected="a TFX component class (a subclass of BaseComponent) or a function decorated with @component",
        )
    spec = cls.SPEC_CLASS
    outputs = {key: Port(port.type.TYPE_NAME, getattr(port, "optional", False)) for key, port in spec.OUTPUTS.items()}
    inputs, parameters = _inputs_and_parameters(cls, name)
    config = getattr(cls, "CONFIG", None)
    return ComponentType(
        name=name,
        import_path=import_path,
        inputs=inputs,
        outputs=outputs,
        parameters={} if config else parameters,
        config_model=f"{config.__module__}:{config.__qualname__}" if config else None,
        one_of=tuple(group for group in hints.ONE_OF if set(group) <= set(parameters)),
        beam=_runs_on_beam(cls),
        deterministic=getattr(cls, "DETERMINISTIC", True),
    )


def _component_class(target: Any) -> Any:
    """Return the component class, which is also what ``@component`` makes of a function; None for anything else."""
    from tfx.dsl.components.base.base_component import BaseComponent

    if inspect.isclass(target) and issubclass(target, BaseComponent) and getattr(target, "SPEC_CLASS", None):
        return target
    return None


def _runs_on_beam(cls: Any) -> bool:
    from tfx.dsl.components.base.executor_spec import BeamExecutorSpec

    return isinstance(cls.EXECUTOR_SPEC, BeamExecutorSpec)


def _inputs_and_parameters(cls: Any, name: str) -> tuple[dict[str, Port], dict[str, Parameter]]:
    spec_inputs = dict(cls.SPEC_CLASS.INPUTS)
    from_signature = dict(_constructor(cls))
    if not from_signature:
        return _from_spec(cls)
    inputs: dict[str, Port] = {}
    parameters: dict[str, Parameter] = {}
    renamed = [key for key in spec_inputs if key not in from_signature]
    for key, (annotation, required) in from_signature.items():
        if _is_channel(annotation):
            if key not in spec_inputs and not renamed:
                continue  # A deprecated alias, such as the stock Trainer's transformed_examples.
            spec_key = key if key in spec_inputs else renamed.pop(0)
            optional = not required and (name, key) not in hints.REQUIRED
            inputs[key] = Port(spec_inputs[spec_key].type.TYPE_NAME, optional, _wiring(name, key))
        else:
            is_required = required or (name, key) in hints.REQUIRED
            parameters[key] = Parameter(hints.VALUES.get(key) or _value_type(annotation), is_required)
    return inputs, parameters


def _wiring(name: str, key: str) -> Wiring:
    return hints.WIRING_OF.get((name, key)) or hints.WIRING.get(key, "auto")


def _from_spec(cls: Any) -> tuple[dict[str, Port], dict[str, Parameter]]:
    """Describe a component whose constructor takes ``**kwargs``, as that of a ``@component`` function does."""
    inputs = {key: Port(port.type.TYPE_NAME, port.optional) for key, port in cls.SPEC_CLASS.INPUTS.items()}
    parameters = {
        key: Parameter(_value_type(parameter.type), not parameter.optional)
        for key, parameter in cls.SPEC_CLASS.PARAMETERS.items()
    }
    return inputs, parameters


def _constructor(cls: Any) -> Iterable[tuple[str, tuple[Any, bool]]]:
    parameters = inspect.signature(cls.__init__).parameters
    annotations = typing.get_type_hints(cls.__init__)
    for key, parameter in parameters.items():
        variadic = parameter.kind in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
        if key in _SKIPPED or variadic:
            continue
        yield key, (annotations.get(key, Any), parameter.default is inspect.Parameter.empty)


def _alternatives(annotation: Any) -> list[Any]:
    """Return the members of a union without None and TFX's run-time stand-ins."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        stand_ins = ("RuntimeParameter", "Placeholder", "NoneType")
        return [arg for arg in typing.get_args(annotation) if getattr(arg, "__name__", "") not in stand_ins]
    return [annotation]


def _is_channel(annotation: Any) -> bool:
    from tfx.types.channel import BaseChannel

    return any(inspect.isclass(arg) and issubclass(arg, BaseChannel) for arg in _alternatives(annotation))


def _value_type(annotation: Any) -> ValueType:
    from google.protobuf.message import Message

    arg = _alternatives(annotation)[0]
    origin, inner = typing.get_origin(arg), typing.get_args(arg)
    if arg in _SCALARS:
        return _SCALARS[arg]
    if origin in (list, tuple):
        return ValueType("list", _value_type(inner[0])) if inner else ValueType("list", ValueType("any"))
    if origin is dict:
        return ValueType("map", _value_type(inner[1]))
    if inspect.isclass(arg) and issubclass(arg, Message):
        return ValueType("proto", message=cast("Any", arg).DESCRIPTOR.full_name)
    if getattr(arg, "__name__", "") == "StatsOptions":
        return ValueType("proto", message=f"{arg.__module__}.StatsOptions")
    return ValueType("any")


def describe_message(descriptor: Any) -> dict[str, dict[str, Any]]:
    """Describe a protobuf message and all that it holds: full name → ``fields`` and ``oneofs``."""
    found: dict[str, dict[str, Any]] = {}
    pending = [descriptor]
    while pending:
        message = pending.pop()
        if message.full_name in found or message.full_name in _WELL_KNOWN:
            continue
        fields = {field.name: _field_type(field, message.full_name).to_json() for field in message.fields}
        oneofs = {oneof.name: [field.name for field in oneof.fields] for oneof in message.oneofs}
        entry = {"fields": fields, "oneofs": {key: names for key, names in oneofs.items() if len(names) > 1}}
        found[message.full_name] = {key: value for key, value in entry.items() if value or key == "fields"}
        pending += [inner for field in message.fields if (inner := _inner_message(field)) is not None]
    return found


_WELL_KNOWN: Mapping[str, ValueType] = {
    **{f"google.protobuf.{name}Value": ValueType("int") for name in ("Int32", "Int64", "UInt32", "UInt64")},
    "google.protobuf.DoubleValue": ValueType("float"),
    "google.protobuf.FloatValue": ValueType("float"),
    "google.protobuf.BoolValue": ValueType("bool"),
    "google.protobuf.StringValue": ValueType("str"),
    "google.protobuf.Struct": ValueType("map", ValueType("any")),
    "google.protobuf.Any": ValueType("map", ValueType("any")),
}


def _inner_message(field: Any) -> Any:
    message = field.message_type
    if message is None:
        return None
    return message.fields_by_name["value"].message_type if message.GetOptions().map_entry else message


def _field_type(field: Any, owner: str) -> ValueType:
    if (owner, field.name) in hints.JSON_TEXT:
        return ValueType("any")
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return ValueType("map", _single_type(field.message_type.fields_by_name["value"]))
    single = _single_type(field)
    return ValueType("list", single) if field.is_repeated else single


def _single_type(field: Any) -> ValueType:
    if field.message_type is not None:
        name = field.message_type.full_name
        return _WELL_KNOWN.get(name, ValueType("proto", message=name))
    if field.enum_type is not None:
        return ValueType("enum", values={value.name: value.number for value in field.enum_type.values})
    kinds = {
        field.CPPTYPE_BOOL: "bool",
        field.CPPTYPE_STRING: "str",
        field.CPPTYPE_DOUBLE: "float",
        field.CPPTYPE_FLOAT: "float",
    }
    return _SCALARS[{"bool": bool, "str": str, "float": float}.get(kinds.get(field.cpp_type, "int"), int)]


def describe_stats_options(cls: Any) -> dict[str, Any]:
    """Describe the arguments of TFDV's ``StatsOptions`` that a config can write, as if it were a message."""
    scalars = {
        key: _value_type(annotation)
        for key, (annotation, _) in _constructor(cls)
        if _value_type(annotation).kind in ("bool", "int", "float", "str")
        or (_value_type(annotation).kind == "list" and _value_type(annotation).item == ValueType("str"))
    }
    return {"fields": {key: value.to_json() for key, value in scalars.items()}}
