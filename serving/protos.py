"""The official protobuf messages, without TensorFlow.

The stubs (``tensorflow_serving.apis``) import TensorFlow's own, and those cannot be imported without the package
``tensorflow``, which takes seconds: too long for a command that moves a label, and a client has no use for it. So the
definitions are read out of the generated files into a pool of their own. The messages are the same on the wire.

The stubs leave out the files that only a server reads. Two of their messages are transcribed here, field by field, from
tensorflow/serving at commit 9d981c5c2708d23c5407c7c1e30309e6f9798874 (July 2026): ``MonitoringConfig``, with its
``PrometheusConfig``, from ``tensorflow_serving/config/monitoring_config.proto``, and ``BatchingParameters`` from
``tensorflow_serving/servables/tensorflow/session_bundle_config.proto``.
"""

from __future__ import annotations

import ast
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2

from penstock.errors import EnvironmentProblem

_STUBS = (
    "tensorflow_serving/apis/predict.proto",
    "tensorflow_serving/apis/classification.proto",
    "tensorflow_serving/apis/regression.proto",
    "tensorflow_serving/apis/get_model_metadata.proto",
    "tensorflow_serving/apis/get_model_status.proto",
    "tensorflow_serving/apis/model_management.proto",
)
_MOVED = {"xla/": "tensorflow/compiler/xla/"}
"""Where TensorFlow keeps definitions that do not lie where their names say."""

_TRANSCRIBED = {
    "PrometheusConfig": (("enable", 1, "bool"), ("path", 2, "string")),
    "MonitoringConfig": (("prometheus_config", 1, "tensorflow.serving.PrometheusConfig"),),
    "BatchingParameters": (
        ("max_batch_size", 1, "google.protobuf.Int64Value"),
        ("batch_timeout_micros", 2, "google.protobuf.Int64Value"),
        ("max_enqueued_batches", 3, "google.protobuf.Int64Value"),
        ("num_batch_threads", 4, "google.protobuf.Int64Value"),
        ("thread_pool_name", 5, "google.protobuf.StringValue"),
        ("allowed_batch_sizes", 6, "repeated int64"),
        ("pad_variable_length_inputs", 7, "bool"),
        ("enable_large_batch_splitting", 8, "google.protobuf.BoolValue"),
        ("max_execution_batch_size", 9, "google.protobuf.Int64Value"),
    ),
}
"""Message → name, number and type of its fields; all of the package ``tensorflow.serving``."""


def message(name: str, file: str | None = None) -> Any:
    """Return the class of a message.

    Args:
        name: Its full name, e.g. ``tensorflow.serving.PredictRequest``.
        file: The definition that it stands in, where that is none of TF Serving's.

    Raises:
        EnvironmentProblem: The stubs, or TensorFlow, are not installed.
    """
    pool = _pool((file,) if file else _STUBS)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


@cache
def transcribed(name: str) -> Any:
    """Return the class of a message that the stubs leave out; see above which there are, and where they are from.

    Args:
        name: Its full name, e.g. ``tensorflow.serving.BatchingParameters``.
    """
    file = descriptor_pb2.FileDescriptorProto(
        name="penstock/transcribed.proto",
        package="tensorflow.serving",
        syntax="proto3",
        dependency=[wrappers_pb2.DESCRIPTOR.name],
    )
    for message_name, fields in _TRANSCRIBED.items():
        described = file.message_type.add(name=message_name)
        for field, number, kind in fields:
            _describe(described.field.add(name=field, number=number), kind)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(name))


def _describe(field: Any, kind: str) -> None:
    *repeated, kind = kind.split()
    field.label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
    if "." in kind:
        field.type, field.type_name = field.TYPE_MESSAGE, f".{kind}"
    else:
        field.type = getattr(field, f"TYPE_{kind.upper()}")


@cache
def _pool(files: tuple[str, ...]) -> Any:
    pool = descriptor_pool.DescriptorPool()
    known = {module.DESCRIPTOR.name: module.DESCRIPTOR.serialized_pb for module in (any_pb2, wrappers_pb2)}
    for name in files:
        _add(pool, name, known)
    return pool


def _add(pool: Any, name: str, known: dict[str, bytes]) -> None:
    """Add a file and, before it, those that it needs."""
    try:
        pool.FindFileByName(name)
    except KeyError:
        data = known[name] if name in known else _definition(_generated_file(name))
        for needed in descriptor_pb2.FileDescriptorProto.FromString(data).dependency:
            _add(pool, needed, known)
        pool.AddSerializedFile(data)


def _generated_file(name: str) -> Path:
    moved = next((home + name.removeprefix(prefix) for prefix, home in _MOVED.items() if name.startswith(prefix)), name)
    package, _, rest = moved.partition("/")
    spec = find_spec(package)
    folders = (spec.submodule_search_locations if spec else None) or ()
    for folder in folders:
        file = Path(folder, rest.removesuffix(".proto") + "_pb2.py")
        if file.is_file():
            return file
    raise EnvironmentProblem(
        f"the definitions of {name} are not installed",
        expected=f"the package {package}, as requirements/lock.txt has it",
        hint="run: penstock doctor",
    )


def _definition(file: Path) -> bytes:
    """Return the serialized definition that a generated file hands to its pool."""
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", None) == "AddSerializedFile":
            return bytes(ast.literal_eval(node.args[0]))
    raise EnvironmentProblem(
        "a generated protobuf file holds no definition",
        where=str(file),
        hint="reinstall the package that it belongs to; run: penstock doctor",
    )
