"""Converts a SavedModel in several modes, measures each against it, judges it, and writes what was found."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from penstock import durable
from penstock.components.tflite_converter.calibration import Calibration, read_calibration
from penstock.components.tflite_converter.config import Mode, TFLiteConverterConfig
from penstock.components.tflite_converter.folding import fix_shapes
from penstock.components.tflite_converter.gate import judge
from penstock.components.tflite_converter.inspection import inspect
from penstock.components.tflite_converter.measure import Candidate, Measured, measure
from penstock.components.tflite_converter.modes import to_flatbuffer
from penstock.components.tflite_converter.original import Original, convertible
from penstock.components.tflite_converter.report import MODEL_FILE, write_report
from penstock.components.tflite_converter.result import Conversion, ModeResult, Verdict
from penstock.components.tflite_converter.rows import Parser, RowFiles
from penstock.components.tflite_converter.unsupported import Refusal
from penstock.errors import ArtifactError, ConfigError
from penstock.reporting import status
from penstock.serving.saved_model import SignatureInfo

_ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class ConvertRequest:
    """What to convert, and the rows to calibrate and measure it with.

    Args:
        saved_model: Folder of the SavedModel.
        config: Modes, signatures, limits.
        representative: Rows for the calibration.
        evaluation: Rows that all models are asked about.
        output: Folder for the results; it exists and is empty.
        label: The label feature; None where nobody knows it.
        transform_graph: Transform's output folder; None where there is none.
    """

    saved_model: Path
    config: TFLiteConverterConfig
    representative: RowFiles
    evaluation: RowFiles
    output: Path
    label: str | None = None
    transform_graph: Path | None = None


def convert(request: ConvertRequest) -> Conversion:
    """Convert, measure, judge and report.

    A mode that cannot be converted or run is not blessed and says why; so does one outside the limits.

    Returns:
        What was found. ``output`` holds ``<mode>/model.tflite``, ``report.json``, ``report.md`` and ``report.svg``.

    Raises:
        ArtifactError: The SavedModel, a signature or the rows are not what is needed, no mode could be converted, or
            a required one is not blessed.
        ConfigError: A metric needs a label, or transformed features need a transform graph.
    """
    config = request.config
    _require_what_the_config_needs(request)
    signatures = convertible(request.saved_model, config.signatures)
    label = request.label if config.gate.metric else None
    parser = Parser(signatures, config.features, label, request.transform_graph)
    calibration = read_calibration(request.representative, parser, config)
    converted, unfolded = _convert_all(request, signatures, calibration)
    candidates = {mode: found for mode, found in converted.items() if isinstance(found, Candidate)}
    if not candidates:
        raise _nothing_converted(request, converted)
    batches = replace(parser, lengths=calibration.lengths).batches(request.evaluation, _ROWS_AT_ONCE)
    measured = measure(Original(request.saved_model), candidates, batches, config)
    float_inputs = any(tensor.dtype.startswith("float") for each in signatures for tensor in each.inputs)
    conversion = Conversion(
        saved_model=request.saved_model,
        signatures=config.signatures,
        batch=None if config.batch == "dynamic" else config.batch,
        rows=measured.rows,
        representative_rows=calibration.rows,
        metric=config.gate.metric,
        baseline=measured.baseline,
        latency=measured.latency,
        unfolded=unfolded,
        results=tuple(
            _result(mode, found, measured, config, float_inputs=float_inputs) for mode, found in converted.items()
        ),
    )
    write_report(conversion, request.output)
    _require_blessed(conversion, config.gate.required)
    return conversion


def _require_what_the_config_needs(request: ConvertRequest) -> None:
    config = request.config
    if config.gate.metric and request.label is None:
        raise ConfigError(
            f"the metric {config.gate.metric!r} needs a label, and none is known",
            received="no `label`, and a model that no Trainer of Penstock's made",
            expected="`label`: the name of the label feature",
        )
    if config.features == "transformed" and request.transform_graph is None:
        raise ConfigError(
            "transformed features need the graph that makes them",
            received="features: transformed, without a transform graph",
            hint="wire transform_graph: <step>.transform_graph",
        )


def _convert_all(
    request: ConvertRequest, signatures: Sequence[SignatureInfo], calibration: Calibration
) -> tuple[dict[Mode, Candidate | Refusal], tuple[str, ...]]:
    """Return what came of each mode, and the signatures in which nothing could be computed in advance."""
    config = request.config
    unfolded: tuple[str, ...] = ()
    with tempfile.TemporaryDirectory(prefix="penstock-tflite-") as scratch:
        source = request.saved_model
        if config.batch != "dynamic":
            status("computing what does not depend on the rows")
            source = Path(scratch, "fixed")
            unfolded = fix_shapes(request.saved_model, calibration.shapes(signatures), source)
        return {mode: _convert(request, mode, source, calibration) for mode in config.modes}, unfolded


def _convert(request: ConvertRequest, mode: Mode, source: Path, calibration: Calibration) -> Candidate | Refusal:
    status(f"converting to {mode}")
    content = to_flatbuffer(source, mode, request.config, calibration.calls)
    folder = request.output / mode
    folder.mkdir()
    if isinstance(content, Refusal):
        return content
    file = folder / MODEL_FILE
    durable.write_beside(file, lambda partial: partial.write_bytes(content))
    return Candidate(content, file, inspect(content, where=str(file)))


def _nothing_converted(request: ConvertRequest, converted: Mapping[Mode, Candidate | Refusal]) -> ArtifactError:
    refusals = {mode: found for mode, found in converted.items() if isinstance(found, Refusal)}
    reasons = dict.fromkeys(refusal.reason for refusal in refusals.values())
    return ArtifactError(
        f"the model cannot be converted: {'; '.join(reasons)}",
        where=str(request.saved_model),
        received=f"signature {', '.join(request.config.signatures)} in the modes {', '.join(refusals)}",
        expected="ops that LiteRT has",
        hint=next(refusal.hint for refusal in refusals.values()),
    )


def _result(
    mode: Mode, found: Candidate | Refusal, measured: Measured, config: TFLiteConverterConfig, *, float_inputs: bool
) -> ModeResult:
    if isinstance(found, Refusal):
        hint = f" ({found.hint})" if found.hint else ""
        return ModeResult(mode, Verdict(blessed=False, reason=f"not converted: {found.reason}{hint}"), None)
    figures = measured.figures[mode]
    if mode in measured.not_run:
        return ModeResult(mode, Verdict(blessed=False, reason=f"not measured: {measured.not_run[mode]}"), figures)
    return ModeResult(mode, judge(mode, figures, config, float_inputs=float_inputs), figures)


def _require_blessed(conversion: Conversion, required: Sequence[Mode]) -> None:
    failed = [each for each in conversion.results if each.mode in required and not each.verdict.blessed]
    if failed:
        raise ArtifactError(
            f"{', '.join(each.mode for each in failed)} {'is' if len(failed) == 1 else 'are'} required and not blessed",
            received="; ".join(f"{each.mode}: {each.verdict.reason}" for each in failed),
            expected="a flatbuffer within the limits of `gate`",
            hint="the log has the whole table; loosen the limit, or take the mode out of `gate.required`",
        )
