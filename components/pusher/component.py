"""The Pusher as TFX sees it."""

from __future__ import annotations

from typing import ClassVar

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ExecutionParameter

from penstock.components.artifacts import TFLiteModel
from penstock.components.pusher.config import PusherConfig
from penstock.components.pusher.executor import Executor


class PusherSpec(types.ComponentSpec):
    """Inputs, outputs and parameters of :class:`Pusher`."""

    PARAMETERS: ClassVar = {"config": ExecutionParameter(type=str)}
    INPUTS: ClassVar = {
        # Which of these two is needed the config says.
        "model": ChannelParameter(type=standard_artifacts.Model, optional=True),
        "tflite_model": ChannelParameter(type=TFLiteModel, optional=True),
        "model_blessing": ChannelParameter(type=standard_artifacts.ModelBlessing, optional=True),
        "infra_blessing": ChannelParameter(type=standard_artifacts.InfraBlessing, optional=True),
        "examples": ChannelParameter(type=standard_artifacts.Examples, optional=True),
    }
    OUTPUTS: ClassVar = {"pushed_model": ChannelParameter(type=standard_artifacts.PushedModel)}


class Pusher(base_component.BaseComponent):
    """Publishes a blessed model as a new version, atomically: in a TF Serving base path, or as flatbuffers in a folder.

    The ``pushed_model`` artifact carries custom properties: ``pushed`` (0 or 1) and ``reason`` always; ``version``,
    ``pushed_version``, ``pushed_destination``, ``digest``, ``model_name`` and ``labels`` (JSON, label → version) when
    something was pushed; ``modes`` when it was flatbuffers.

    Args:
        config: Where to and as which version.
        model: The model to push; needed unless the destination is a ``tflite_directory``.
        tflite_model: The flatbuffers to push, one artifact a mode; needed where it is one.
        model_blessing: An Evaluator's verdict; without it the model counts as not judged.
        infra_blessing: An InfraValidator's verdict.
        examples: Raw examples; ``warmup`` takes its rows from them.
    """

    SPEC_CLASS = PusherSpec
    CONFIG: ClassVar = PusherConfig
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        *,
        config: PusherConfig,
        model: types.BaseChannel | None = None,
        tflite_model: types.BaseChannel | None = None,
        model_blessing: types.BaseChannel | None = None,
        infra_blessing: types.BaseChannel | None = None,
        examples: types.BaseChannel | None = None,
    ) -> None:
        for name, channel in (("model", model), ("tflite_model", tflite_model)):
            if channel is None and name in config.needed_inputs():
                raise ValueError(f"input '{name}' is needed for destination {config.destination.base}")
        spec = PusherSpec(
            model=model,
            tflite_model=tflite_model,
            model_blessing=model_blessing,
            infra_blessing=infra_blessing,
            examples=examples,
            config=config.model_dump_json(),
            pushed_model=types.Channel(type=standard_artifacts.PushedModel),
        )
        super().__init__(spec=spec)
