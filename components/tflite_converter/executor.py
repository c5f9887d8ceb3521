"""Translates between TFX's dictionaries and :func:`penstock.components.tflite_converter.convert.convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import path_utils

from penstock.components.artifacts import TFLiteModel
from penstock.components.example_files import split_files
from penstock.components.tflite_converter.config import TFLiteConverterConfig
from penstock.components.tflite_converter.convert import ConvertRequest, convert
from penstock.components.tflite_converter.result import Conversion, Figures, ModeResult
from penstock.components.tflite_converter.rows import RowFiles

Artifacts = dict[str, list[types.Artifact]]
LABEL = "label"
"""Property of a model in which the Trainer records its label."""


class Executor(base_executor.BaseExecutor):
    """Executor of :class:`penstock.components.tflite_converter.component.TFLiteConverter`."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:  # noqa: N802
        """Convert the model, and give one ``tflite_model`` artifact a mode.

        Args:
            input_dict: ``model``, ``examples``, and when wired ``transform_graph``.
            output_dict: ``tflite_model``; its one artifact is replaced by one a mode, in folders below its own.
            exec_properties: ``config``, a :class:`TFLiteConverterConfig` as JSON.
        """
        output = output_dict["tflite_model"]
        folder = Path(artifact_utils.get_single_uri(output))
        conversion = convert(_request(input_dict, exec_properties, folder))
        output[:] = [_artifact(result, conversion, folder) for result in conversion.results]


def _request(inputs: Artifacts, properties: dict[str, Any], output: Path) -> ConvertRequest:
    config = TFLiteConverterConfig.model_validate_json(properties["config"])
    model = artifact_utils.get_single_instance(inputs["model"])
    graph = inputs.get("transform_graph")
    return ConvertRequest(
        saved_model=Path(path_utils.serving_model_path(model.uri)),
        config=config,
        representative=_rows(inputs["examples"], config.representative.split, config.representative.rows),
        evaluation=_rows(inputs["examples"], config.measure.split, config.measure.rows),
        output=output,
        label=config.label or model.get_string_custom_property(LABEL) or None,
        transform_graph=Path(artifact_utils.get_single_uri(graph)) if graph else None,
    )


def _rows(examples: list[types.Artifact], split: str, limit: int) -> RowFiles:
    files = split_files(examples, split, "the TFLiteConverter reads tf.Examples only")
    return RowFiles(files, limit, f"split {split!r}")


def _artifact(result: ModeResult, conversion: Conversion, folder: Path) -> TFLiteModel:
    artifact = TFLiteModel()
    artifact.uri = str(folder / result.mode)
    artifact.mode = result.mode
    artifact.blessed = int(result.verdict.blessed)
    artifact.reason = result.verdict.reason
    artifact.signatures = ",".join(conversion.signatures)
    measured = {} if result.figures is None else _measured(result.figures, conversion)
    for name, value in measured.items():
        if value is not None:
            setattr(artifact, name, value)
    return artifact


def _measured(figures: Figures, conversion: Conversion) -> dict[str, Any]:
    """Return property → value; None where it was not measured."""
    comparison, first = figures.comparison, next(iter(figures.timings), None)
    return {
        "size_bytes": figures.inspection.size,
        "digest": figures.inspection.digest,
        "metric": conversion.metric,
        "metric_value": comparison and comparison.metric,
        "baseline_value": conversion.baseline,
        "drop": figures.drop,
        "max_abs_error": comparison and comparison.max_abs_error,
        "mean_abs_error": comparison and comparison.mean_abs_error,
        "class_flips": comparison and comparison.class_flips,
        "latency_p50_us": first and first.latency.p50,
        "latency_ratio": first and first.ratio,
        "arena_bytes": figures.arena_bytes,
    }
