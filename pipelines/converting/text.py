"""What ``penstock convert`` prints on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from penstock.components.tflite_converter.inspection import layer_of
from penstock.components.tflite_converter.words import bytes_text
from penstock.pipelines.config.marks import shown_path

if TYPE_CHECKING:
    from penstock.components.tflite_converter.inspection import Inspection, Op, Quantization, Tensor


def show_report(report: dict[str, Any], output: Path) -> None:
    """Print one line a mode, what is wrong with it, and where the results are."""
    for line in report_lines(report):
        typer.echo(line)
    typer.echo(f"\nReports: {shown_path(output / 'report.md')}, report.json and report.svg beside it.")


def report_lines(report: dict[str, Any]) -> Iterator[str]:
    """Yield what came of a conversion, a mode a line."""
    metric = report["metric"]
    if metric:
        yield f"The SavedModel's {metric}: {report['baseline']:.4f}"
    for result in report["modes"]:
        mark = "✓" if result["blessed"] else "✗"
        yield f"  {mark} {result['mode']:<14} {', '.join(_facts(result, metric))}"
        if not result["blessed"]:
            yield f"    {result['reason']}"


def _facts(result: dict[str, Any], metric: str | None) -> Iterator[str]:
    if "size_bytes" not in result:
        return
    yield bytes_text(result["size_bytes"])
    if metric and result.get("metric") is not None:
        yield f"{metric} {result['metric']:.4f}"
    if "max_abs_error" in result:
        yield f"off by {float(result['max_abs_error']):.3g} at most"
    for timing in result["latency"][:1]:
        yield f"{timing['p50']:.0f} µs a call, {timing['ratio']:.2g} of the SavedModel's"


def show_inspection(inspection: Inspection, file: Path) -> None:
    """Print what is in a flatbuffer."""
    for line in inspection_lines(inspection, file):
        typer.echo(line)


def inspection_lines(inspection: Inspection, file: Path) -> Iterator[str]:
    """Yield what is in a flatbuffer: signatures, ops in order, and how constants are quantized."""
    yield f"{shown_path(file)}: {bytes_text(inspection.size)}, SHA-256 {inspection.digest}"
    for signature in inspection.signatures:
        yield f"\nsignature {signature.name}" if signature.name else "\nno signature"
        for kind, tensors in (("input", signature.inputs), ("output", signature.outputs)):
            yield from (f"  {kind:<7} {name}: {_described(tensor)}" for name, tensor in tensors.items())
    counts = ", ".join(f"{count} {name}" for name, count in inspection.op_counts.items())
    yield f"\n{len(inspection.ops)} ops: {counts}"
    yield from (f"  {number:>3} {_op(op)}" for number, op in enumerate(inspection.ops))
    constants = {tensor.name: tensor for op in inspection.ops for tensor in op.inputs if tensor.constant}
    yield f"\n{len(constants)} constants"
    yield from (f"  {_described(tensor)}  {layer_of(tensor.name)}" for tensor in constants.values())
    if inspection.tensorflow_ops:
        yield f"\nNeeds TensorFlow's Flex delegate: {', '.join(inspection.tensorflow_ops)}"


def _op(op: Op) -> str:
    computed = [tensor for tensor in op.inputs if not tensor.constant]
    types = f"{', '.join(tensor.dtype for tensor in computed)} → {', '.join(map(_described, op.outputs))}"
    return f"{op.name:<18} {types}  {op.layer}"


def _described(tensor: Tensor) -> str:
    shape = ", ".join("any" if size is None else str(size) for size in tensor.shape)
    quantization = f", {_quantization(tensor.quantization)}" if tensor.quantization else ""
    return f"{tensor.dtype}[{shape}]{quantization}"


def _quantization(quantization: Quantization) -> str:
    scales, zeros = quantization.scales, sorted(set(quantization.zero_points))
    zero = f"zero point {zeros[0]}" if len(zeros) == 1 else f"zero points {zeros[0]} to {zeros[-1]}"
    if quantization.axis is None:
        return f"scale {scales[0]:.6g}, {zero}"
    return f"{len(scales)} scales {min(scales):.3g} to {max(scales):.3g} along axis {quantization.axis}, {zero}"
