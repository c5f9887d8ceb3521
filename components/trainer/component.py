"""The Trainer as TFX sees it."""

from __future__ import annotations

from typing import ClassVar

from tfx import types
from tfx.dsl.components.base import base_component, executor_spec
from tfx.types import standard_artifacts
from tfx.types.component_spec import ChannelParameter, ExecutionParameter

from penstock.components.trainer.config import TrainerConfig
from penstock.components.trainer.executor import Executor


class TrainerSpec(types.ComponentSpec):
    """Inputs, outputs and parameters of :class:`Trainer`."""

    PARAMETERS: ClassVar = {"config": ExecutionParameter(type=str)}
    INPUTS: ClassVar = {
        "examples": ChannelParameter(type=standard_artifacts.Examples),
        "transformed_examples": ChannelParameter(type=standard_artifacts.Examples, optional=True),
        "transform_graph": ChannelParameter(type=standard_artifacts.TransformGraph, optional=True),
        "schema": ChannelParameter(type=standard_artifacts.Schema, optional=True),
        "hyperparameters": ChannelParameter(type=standard_artifacts.HyperParameters, optional=True),
        "base_model": ChannelParameter(type=standard_artifacts.Model, optional=True),
    }
    OUTPUTS: ClassVar = {
        "model": ChannelParameter(type=standard_artifacts.Model),
        "model_run": ChannelParameter(type=standard_artifacts.ModelRun),
    }


class Trainer(base_component.BaseComponent):
    """Trains the compiled Keras model that a user's ``model_fn(context)`` returns.

    The ``model`` artifact holds ``Format-Serving/`` (SavedModel with the signatures ``serving_default`` and
    ``predict``) and ``Format-Keras/model.keras``; strategy, replicas, steps, final metrics, versions and commit are its
    custom properties. ``model_run`` holds ``history.json``, ``training_report.json`` and logs for TensorBoard.

    Args:
        examples: Raw examples; they feed the predict gate, and training unless ``transformed_examples`` is wired.
        config: Every parameter of the training.
        transformed_examples: What Transform made of ``examples``; read instead of transforming again.
        transform_graph: Transform's graph, which becomes part of the served model.
        schema: Schema of the raw examples; needed without ``transform_graph``.
        hyperparameters: A Tuner's best hyperparameters, which override ``config.hparams``.
        base_model: The model whose weights ``warm_start: {from: latest_blessed}`` begins with.
    """

    SPEC_CLASS = TrainerSpec
    CONFIG: ClassVar = TrainerConfig
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(  # noqa: PLR0913  One argument an input.
        self,
        *,
        examples: types.BaseChannel,
        config: TrainerConfig,
        transformed_examples: types.BaseChannel | None = None,
        transform_graph: types.BaseChannel | None = None,
        schema: types.BaseChannel | None = None,
        hyperparameters: types.BaseChannel | None = None,
        base_model: types.BaseChannel | None = None,
    ) -> None:
        spec = TrainerSpec(
            examples=examples,
            transformed_examples=transformed_examples,
            transform_graph=transform_graph,
            schema=schema,
            hyperparameters=hyperparameters,
            base_model=base_model,
            config=config.model_dump_json(by_alias=True),
            model=types.Channel(type=standard_artifacts.Model),
            model_run=types.Channel(type=standard_artifacts.ModelRun),
        )
        super().__init__(spec=spec)
