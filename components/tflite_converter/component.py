"""The TFLiteConverter as TFX sees it."""

from __future__ import annotations

from typing import ClassVar

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ExecutionParameter

from penstock.components.artifacts import TFLiteModel
from penstock.components.tflite_converter.config import TFLiteConverterConfig
from penstock.components.tflite_converter.executor import Executor


class TFLiteConverterSpec(types.ComponentSpec):
    """Inputs, outputs and parameters of :class:`TFLiteConverter`."""

    PARAMETERS: ClassVar = {"config": ExecutionParameter(type=str)}
    INPUTS: ClassVar = {
        "model": ChannelParameter(type=standard_artifacts.Model),
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "transform_graph": ChannelParameter(type=standard_artifacts.TransformGraph, optional=True),
    }
    OUTPUTS: ClassVar = {"tflite_model": ChannelParameter(type=TFLiteModel)}


class TFLiteConverter(base_component.BaseComponent):
    """Converts a model into LiteRT flatbuffers, measures each against it, and blesses those within tolerance.

    ``tflite_model`` is one :class:`~penstock.components.artifacts.TFLiteModel` a mode, blessed or not, each in a folder
    of its own with ``model.tflite`` and ``report.json``. The folder above holds ``report.json``, ``report.md`` and
    ``report.svg`` of all modes.

    Args:
        model: The model to convert.
        config: Modes, signatures, limits.
        examples: Raw examples; they calibrate and measure.
        transform_graph: Transform's graph, which the label, and transformed features, come from.
    """

    SPEC_CLASS = TFLiteConverterSpec
    CONFIG: ClassVar = TFLiteConverterConfig
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        *,
        model: types.BaseChannel,
        config: TFLiteConverterConfig,
        examples: types.BaseChannel,
        transform_graph: types.BaseChannel | None = None,
    ) -> None:
        spec = TFLiteConverterSpec(
            model=model,
            examples=examples,
            transform_graph=transform_graph,
            config=config.model_dump_json(),
            tflite_model=types.Channel(type=TFLiteModel),
        )
        super().__init__(spec=spec)
