"""The Pusher as TFX sees it."""

from __future__ import annotations

from typing import ClassVar

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ExecutionParameter

from penstock.components.pusher.config import PusherConfig
from penstock.components.pusher.executor import Executor


class PusherSpec(types.ComponentSpec):
    """Inputs, outputs and parameters of :class:`Pusher`."""

    PARAMETERS: ClassVar = {"config": ExecutionParameter(type=str)}
    INPUTS: ClassVar = {
        "model": ChannelParameter(type=standard_artifacts.Model),
        "model_blessing": ChannelParameter(type=standard_artifacts.ModelBlessing, optional=True),
        "infra_blessing": ChannelParameter(type=standard_artifacts.InfraBlessing, optional=True),
        "examples": ChannelParameter(type=standard_artifacts.Examples, optional=True),
    }
    OUTPUTS: ClassVar = {"pushed_model": ChannelParameter(type=standard_artifacts.PushedModel)}


class Pusher(base_component.BaseComponent):
    """Publishes a blessed model as a new version, atomically, in a TF Serving base path.

    The ``pushed_model`` artifact carries custom properties: ``pushed`` (0 or 1) and ``reason`` always; ``version``,
    ``pushed_version``, ``pushed_destination``, ``digest``, ``model_name`` and ``labels`` (JSON, label → version) when
    something was pushed.

    Args:
        model: The model to push.
        config: Where to and as which version.
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
        model: types.BaseChannel,
        config: PusherConfig,
        model_blessing: types.BaseChannel | None = None,
        infra_blessing: types.BaseChannel | None = None,
        examples: types.BaseChannel | None = None,
    ) -> None:
        spec = PusherSpec(
            model=model,
            model_blessing=model_blessing,
            infra_blessing=infra_blessing,
            examples=examples,
            config=config.model_dump_json(),
            pushed_model=types.Channel(type=standard_artifacts.PushedModel),
        )
        super().__init__(spec=spec)
