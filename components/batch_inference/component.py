"""Batch inference as TFX sees it."""

from __future__ import annotations

from typing import ClassVar

from tfx import types
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ExecutionParameter

from penstock.components.batch_inference.config import BatchInferenceConfig
from penstock.components.batch_inference.executor import Executor


class BatchInferenceSpec(types.ComponentSpec):
    """Inputs, outputs and parameters of :class:`BatchInference`."""

    PARAMETERS: ClassVar = {"config": ExecutionParameter(type=str)}
    INPUTS: ClassVar = {
        "model": ChannelParameter(type=standard_artifacts.Model, optional=True),
        "pushed_model": ChannelParameter(type=standard_artifacts.PushedModel, optional=True),
        "model_blessing": ChannelParameter(type=standard_artifacts.ModelBlessing, optional=True),
        "examples": ChannelParameter(type=standard_artifacts.Examples, optional=True),
    }
    OUTPUTS: ClassVar = {"predictions": ChannelParameter(type=standard_artifacts.InferenceResult)}


class BatchInference(base_beam_component.BaseBeamComponent):
    """Scores files with a model, on Beam; every row ends as a result or in an errors file.

    The ``predictions`` artifact holds the result files, the errors files and ``prediction.manifest.json``. Its custom
    properties: ``scored`` (0 or 1) and ``reason`` always; ``rows``, ``results``, ``errors``, ``format``,
    ``model_digest``, ``model_name`` and ``model_version`` when something was scored.

    Args:
        config: What to read, to ask and to write.
        model: The model to load.
        pushed_model: A pushed model, which comes before ``model``.
        model_blessing: An Evaluator's verdict; a model that is not blessed scores nothing.
        examples: The rows, unless ``config`` names files.
    """

    SPEC_CLASS = BatchInferenceSpec
    CONFIG: ClassVar = BatchInferenceConfig
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)

    def __init__(
        self,
        *,
        config: BatchInferenceConfig,
        model: types.BaseChannel | None = None,
        pushed_model: types.BaseChannel | None = None,
        model_blessing: types.BaseChannel | None = None,
        examples: types.BaseChannel | None = None,
    ) -> None:
        spec = BatchInferenceSpec(
            model=model,
            pushed_model=pushed_model,
            model_blessing=model_blessing,
            examples=examples,
            config=config.model_dump_json(),
            predictions=types.Channel(type=standard_artifacts.InferenceResult),
        )
        super().__init__(spec=spec)
