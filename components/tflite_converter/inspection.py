"""Reads a LiteRT flatbuffer: inputs, outputs, ops, types and quantization. Needs no TensorFlow.

What a converter was asked for and what it made are two things: an int8 model with float ops inside is only seen here.
"""

from __future__ import annotations

import hashlib
import re
import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from penstock.errors import ArtifactError

_BRIDGES = frozenset({"QUANTIZE", "DEQUANTIZE"})
_CALL = re.compile(r"(Stateful)?PartitionedCall(:\d+)?")
_FLEX = "Flex"
"""Prefix of the custom ops that are TensorFlow's."""


@dataclass(frozen=True)
class Quantization:
    """How integers stand for reals: real = scale · (integer - zero point).

    Args:
        scales: One for the whole tensor, or one for each slice along ``axis``.
        zero_points: Likewise.
        axis: The axis that has a scale for each slice; None where there is one for the whole tensor.
    """

    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    axis: int | None


@dataclass(frozen=True)
class Tensor:
    """A tensor of a flatbuffer.

    Args:
        name: The name inside the graph.
        dtype: LiteRT's name of its type in lower case, such as ``int8``.
        shape: One entry a dimension, None where it may be resized.
        quantization: None where the values are what they are.
        constant: Whether its values are in the file.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    quantization: Quantization | None
    constant: bool

    @property
    def is_float(self) -> bool:
        """Whether its values are floating point numbers."""
        return self.dtype.startswith(("float", "bfloat", "complex"))


@dataclass(frozen=True)
class Op:
    """One operation.

    Args:
        name: LiteRT's name, such as ``CONV_2D``; a custom op's own name.
        inputs: What it reads; optional inputs that are left out are missing.
        outputs: What it writes.
        at_border: It turns an input of the model into integers, or integers into an output.
        custom: LiteRT alone cannot run it.
    """

    name: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    at_border: bool
    custom: bool

    @property
    def layer(self) -> str:
        """Where it comes from: the name of its first output, in which the converter keeps the layers' names."""
        return layer_of(self.outputs[0].name) if self.outputs else ""

    @property
    def computes_in_float(self) -> bool:
        """Whether it reads or writes floating point numbers between the model's borders."""
        return not self.at_border and any(tensor.is_float for tensor in (*self.inputs, *self.outputs))

    @property
    def needs_tensorflow(self) -> bool:
        """Whether it is TensorFlow's, which takes the Flex delegate."""
        return self.custom and self.name.startswith(_FLEX)


@dataclass(frozen=True)
class Signature:
    """A function of a flatbuffer, called by name."""

    name: str
    inputs: Mapping[str, Tensor]
    outputs: Mapping[str, Tensor]


@dataclass(frozen=True)
class Inspection:
    """What is in a flatbuffer.

    Args:
        size: Bytes of the file.
        digest: SHA-256 of the file, in hexadecimal.
        signatures: Its functions; a model without any has one named with an empty text.
        ops: All operations, of all subgraphs, in the file's order.
    """

    size: int
    digest: str
    signatures: tuple[Signature, ...]
    ops: tuple[Op, ...]

    @property
    def op_counts(self) -> dict[str, int]:
        """Op name → how often it is there, most frequent first."""
        return dict(Counter(op.name for op in self.ops).most_common())

    @property
    def float_ops(self) -> tuple[Op, ...]:
        """The operations that compute in floating point."""
        return tuple(op for op in self.ops if op.computes_in_float)

    @property
    def tensorflow_ops(self) -> tuple[str, ...]:
        """Names of TensorFlow's operations that are kept, sorted."""
        return tuple(sorted({op.name for op in self.ops if op.needs_tensorflow}))


def layer_of(name: str) -> str:
    """Return the layer's part of a name that a converter made: without calls of functions, and the first of several."""
    first = re.split("[;@]", name, maxsplit=1)[0]
    return "/".join(part for part in first.split("/") if not _CALL.fullmatch(part))


def inspect_file(path: Path) -> Inspection:
    """Read a flatbuffer's file.

    Raises:
        ArtifactError: It is not there, or is no whole LiteRT model.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise ArtifactError("there is no such file", where=str(path), expected="a .tflite file") from error
    return inspect(content, where=str(path))


def inspect(content: bytes, *, where: str) -> Inspection:
    """Read a flatbuffer.

    Args:
        content: The file's content.
        where: What to call it in an error.

    Raises:
        ArtifactError: It is no whole LiteRT model.
    """
    _verify(content, where)
    from ai_edge_litert import schema_py_generated as schema

    try:
        reader = _Reader(schema.Model.GetRootAs(content, 0), schema)
        signatures, ops = tuple(reader.signatures()), tuple(reader.ops())
    except (IndexError, ValueError, struct.error) as error:
        # The verifier looks at offsets, not at numbers of tensors, buffers and ops.
        raise _damaged(content, where, f"it refers to what is not in it ({error})") from error
    return Inspection(len(content), hashlib.sha256(content).hexdigest(), signatures, ops)


def _verify(content: bytes, where: str) -> None:
    """Let LiteRT's own verifier look: the generated reader follows offsets wherever they lead."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    try:
        Interpreter(
            # To LiteRT's Python, no bytes are no argument.
            model_content=content or b"-",
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
    except (ValueError, RuntimeError) as error:
        raise _damaged(content, where, str(error)) from error


def _damaged(content: bytes, where: str, fault: str) -> ArtifactError:
    return ArtifactError(
        f"this is no whole LiteRT model: {fault}",
        where=where,
        received=f"{len(content)} bytes",
        expected="a .tflite file, complete",
        hint="convert it again, or copy it again if it was cut off",
    )


class _Reader:
    """Follows the schema's tables of one verified model."""

    def __init__(self, model: Any, schema: Any) -> None:
        self._model = model
        self._types = _names(schema.TensorType)
        self._builtins = _names(schema.BuiltinOperator)
        self._custom = schema.BuiltinOperator.CUSTOM

    def signatures(self) -> Iterator[Signature]:
        count = self._model.SignatureDefsLength()
        for definition in (self._model.SignatureDefs(index) for index in range(count)):
            tensors = self._tensors(definition.SubgraphIndex())
            yield Signature(
                name=_text(definition.SignatureKey()),
                inputs=_named(tensors, map(definition.Inputs, range(definition.InputsLength()))),
                outputs=_named(tensors, map(definition.Outputs, range(definition.OutputsLength()))),
            )
        if not count and self._model.SubgraphsLength():
            graph, tensors = self._model.Subgraphs(0), self._tensors(0)
            inputs, outputs = (
                {tensors[index].name: tensors[index] for index in _ids(indices)}
                for indices in (graph.InputsAsNumpy(), graph.OutputsAsNumpy())
            )
            yield Signature("", inputs, outputs)

    def ops(self) -> Iterator[Op]:
        for number in range(self._model.SubgraphsLength()):
            graph, tensors = self._model.Subgraphs(number), self._tensors(number)
            border = {*_ids(graph.InputsAsNumpy()), *_ids(graph.OutputsAsNumpy())}
            for operator in (graph.Operators(index) for index in range(graph.OperatorsLength())):
                inputs, outputs = _ids(operator.InputsAsNumpy()), _ids(operator.OutputsAsNumpy())
                name, custom = self._op_name(operator.OpcodeIndex())
                floats = {index for index in (*inputs, *outputs) if tensors[index].is_float}
                yield Op(
                    name=name,
                    inputs=tuple(tensors[index] for index in inputs),
                    outputs=tuple(tensors[index] for index in outputs),
                    at_border=name in _BRIDGES and floats <= border,
                    custom=custom,
                )

    def _op_name(self, index: int) -> tuple[str, bool]:
        code = self._model.OperatorCodes(_within(index, self._model.OperatorCodesLength()))
        # Codes above 127 are in the newer field, those below in either.
        builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        if builtin == self._custom:
            return _text(code.CustomCode()), True
        return self._builtins.get(builtin, f"op {builtin}"), False

    @cache  # noqa: B019  A reader lives as long as one inspection.
    def _tensors(self, graph: int) -> list[Tensor]:
        subgraph = self._model.Subgraphs(_within(graph, self._model.SubgraphsLength()))
        return [self._tensor(subgraph.Tensors(index)) for index in range(subgraph.TensorsLength())]

    def _tensor(self, tensor: Any) -> Tensor:
        signature = tensor.ShapeSignatureAsNumpy()
        shape = tensor.ShapeAsNumpy() if isinstance(signature, int) else signature
        return Tensor(
            name=_text(tensor.Name()),
            dtype=self._types.get(tensor.Type(), f"type {tensor.Type()}").lower(),
            shape=tuple(None if size < 0 else size for size in _ids(shape)),
            quantization=_quantization(tensor.Quantization()),
            constant=bool(self._model.Buffers(_within(tensor.Buffer(), self._model.BuffersLength())).DataLength()),
        )


def _named(tensors: list[Tensor], entries: Iterator[Any]) -> dict[str, Tensor]:
    return {_text(entry.Name()): tensors[entry.TensorIndex()] for entry in entries}


def _quantization(parameters: Any) -> Quantization | None:
    if parameters is None or not parameters.ScaleLength():
        return None
    scales = tuple(float(scale) for scale in parameters.ScaleAsNumpy())
    zero_points = tuple(_ids(parameters.ZeroPointAsNumpy()))
    return Quantization(scales, zero_points, parameters.QuantizedDimension() if len(scales) > 1 else None)


def _within(index: int, length: int) -> int:
    """Return the index; the generated reader would read whatever lies behind a vector's end."""
    if not 0 <= index < length:
        raise IndexError(f"{index} of {length}")
    return index


def _names(enumeration: type) -> dict[int, str]:
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}


def _ids(array: Any) -> list[int]:
    """Return the numbers of a vector; the generated reader returns 0 for one that is left out."""
    return [] if isinstance(array, int) else [int(number) for number in array]


def _text(content: bytes | None) -> str:
    return (content or b"").decode(errors="replace")
