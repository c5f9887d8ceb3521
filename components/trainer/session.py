"""One process's part of a training: from files, through the loop, to the checked export."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import tensorflow as tf

from penstock.closest import did_you_mean
from penstock.components.trainer import runtime
from penstock.components.trainer.batches import Batches, count_splits, make_plan
from penstock.components.trainer.checkpoint import Checkpoints, checkpoint_folder
from penstock.components.trainer.config import TrainerConfig
from penstock.components.trainer.context import HParams, TrainerContext
from penstock.components.trainer.execution import Engine, SyncEngine
from penstock.components.trainer.export import ServingModel
from penstock.components.trainer.feature_specs import describe, not_in_serving
from penstock.components.trainer.figures import Training, make_report
from penstock.components.trainer.keras_backend import Keras, load_keras
from penstock.components.trainer.loop import Parts, TrainingLoop
from penstock.components.trainer.model import ModelInputs, build_model, model_inputs
from penstock.components.trainer.model_state import copy_weights, read_state
from penstock.components.trainer.outcome import FitOutcome, Length
from penstock.components.trainer.place import Place
from penstock.components.trainer.preprocessing import Preprocessing, load_preprocessing, serving_spec
from penstock.components.trainer.publish import publish
from penstock.components.trainer.quantize_aware import quantized
from penstock.components.trainer.records import reading
from penstock.components.trainer.report import properties, write_report
from penstock.components.trainer.request import TrainRequest, TrainResult
from penstock.components.trainer.server_execution import ServerEngine
from penstock.components.trainer.sharding import BatchPlan
from penstock.components.trainer.signatures import user_signatures
from penstock.components.trainer.strategies import make_strategy
from penstock.components.trainer.strategy_options import DefaultStrategy, ParameterServerStrategy
from penstock.components.trainer.tensorboard import tensorboard_log
from penstock.components.trainer.training_errors import training_errors
from penstock.components.trainer.twin import undistributed, untrained_twin
from penstock.components.trainer.user_callbacks import load_callbacks
from penstock.components.trainer.warm_start import apply_warm_start, is_quantize_aware
from penstock.errors import ArtifactError, EnvironmentProblem
from penstock.reporting import note

_log = logging.getLogger(__name__)


def run_session(request: TrainRequest, place: Place) -> TrainResult:
    """Train in this process, together with the other processes of the cluster if there are any.

    Returns:
        What is recorded of the model; nothing on a worker that is not the chief.

    Raises:
        PenstockError: As :func:`penstock.components.trainer.train.train`.
    """
    # TensorFlow imports what it makes of a function from a temporary file, once; the bytecode would stay there.
    sys.dont_write_bytecode = True
    config = request.config
    runtime.configure(config.runtime)
    strategy = make_strategy(config.strategy)
    keras = load_keras(config.keras)
    keras.set_seed(config.seed)
    with keras.precision(config.precision), checkpoint_folder(request.checkpoints) as checkpoints:
        return _Session(request, place, strategy, keras, checkpoints).run()


class _Session:
    """What the parts of a session share."""

    def __init__(self, request: TrainRequest, place: Place, strategy: Any, keras: Keras, checkpoints: Path) -> None:
        self.request = request
        self.config = request.config
        self.place = place
        self.strategy = strategy
        self.keras = keras
        self.checkpoints = checkpoints

    def run(self) -> TrainResult:
        """Build, train, export."""
        request, config = self.request, self.config
        preprocessing = load_preprocessing(request.transform_graph, request.schema)
        _check_label(config.label, preprocessing)
        splits = count_splits(request)
        plan = make_plan(config, self.strategy.num_replicas_in_sync, self.place, splits)
        context = self._context(preprocessing, plan)
        model = build_model(config.model_fn, context, self.strategy, self.keras)
        inputs = model_inputs(model, context.feature_spec, config.model_fn)
        batches = Batches(request, splits, plan, context=context, preprocessing=preprocessing, inputs=inputs)
        with reading([*splits.training.files, *splits.evaluation.files]), training_errors(model, config):
            outcome, engine = self._fit(model, batches, context)
        # All workers take part in both.
        exchange = engine.exchange()
        final = self._undistributed(model, batches, context)
        recorded: Mapping[str, str | int | float] = {}
        if self.place.chief:
            serving = self._serving(final, inputs, preprocessing, context)
            checks = publish(request, serving, self.keras)
            report = make_report(context, final, Training(config, outcome, exchange, batches), checks)
            write_report(request.run_folder, outcome.history, report)
            note(report.speed.verdict.line)
            recorded = properties(report)
        # Others stay until the chief is done: TensorFlow takes a worker that left for one that died.
        engine.gather([0.0])
        return TrainResult(recorded)

    def _fit(self, model: Any, batches: Batches, context: TrainerContext) -> tuple[FitOutcome, Engine]:
        config = self.config
        self.keras.build(model, batches.spec)
        checkpoints = self._checkpoints(model)
        start = checkpoints.restore()
        if start is None:
            self._warm_start(model, batches, context)
        else:
            note(f"going on after step {start.step} of an earlier run that was ended{_caveat(config)}")
        length = Length(
            epochs=config.epochs or 1,
            steps_per_epoch=config.steps or batches.steps_per_epoch,
            batch=context.global_batch_size,
        )
        engine = self._engine(model, batches, start.step if start else 0)
        _require_same_start(engine.gather([start.step if start else 0]), self.checkpoints)
        callbacks = load_callbacks(config.callbacks_fn, context, model, self.keras, length)
        logs = self.request.tensorboard or self.request.run_folder
        board = tensorboard_log(logs, config.tensorboard.profile_steps, chief=self.place.chief)
        parts = Parts(model, self.keras, engine, checkpoints, board, callbacks)
        outcome = TrainingLoop(parts, config, length, start).run()
        return outcome, engine

    def _engine(self, model: Any, batches: Batches, step: int) -> Engine:
        config, strategy = self.config, self.strategy
        data = batches.engine_data(strategy, step, self.place)
        jit_compile = config.runtime.jit_compile
        if isinstance(config.strategy, ParameterServerStrategy):
            asynchronous = config.strategy.asynchronous
            return ServerEngine(
                model, strategy, data, keras=self.keras, asynchronous=asynchronous, jit_compile=jit_compile
            )
        deterministic = config.runtime.deterministic
        return SyncEngine(model, strategy, data, keras=self.keras, jit_compile=jit_compile, deterministic=deterministic)

    def _checkpoints(self, model: Any) -> Checkpoints:
        weights = self.keras.variables_of(model)
        others = [*self.keras.optimizer_variables(model), *self.keras.metric_variables(model)]
        return Checkpoints(
            self.checkpoints,
            variables=[*weights, *others],
            weights=weights,
            options=self.config.checkpoint,
            chief=self.place.chief,
        )

    def _warm_start(self, model: Any, batches: Batches, context: TrainerContext) -> None:
        path = self.request.base_model
        if path is None:
            return
        model_fn, keras = self.config.model_fn, self.keras
        # A quantization-aware model may begin with a float one, whose layers are not wrapped yet.
        wrap_after = context.quantize_aware and not is_quantize_aware(path)
        if isinstance(self.config.strategy, DefaultStrategy) and not wrap_after:
            taken = apply_warm_start(model, path)
        else:
            as_saved = replace(context, quantize_aware=context.quantize_aware and not wrap_after)
            twin = untrained_twin(model_fn, as_saved, keras=keras, batch=batches.spec)
            taken = apply_warm_start(twin, path)
            if wrap_after:
                twin = quantized(twin, model_fn, tf.distribute.get_strategy(), keras)
            copy_weights(twin, model, keras, model_fn)
        note(f"warm start: {taken} variables from {path}")

    def _undistributed(self, model: Any, batches: Batches, context: TrainerContext) -> Any:
        """Return the model free of the strategy that it was trained under. All workers must take part."""
        if isinstance(self.config.strategy, DefaultStrategy):
            return model
        state = read_state(model, self.keras)
        if not self.place.chief:
            return model
        return undistributed(self.config.model_fn, context, state, keras=self.keras, batch=batches.spec)

    def _serving(
        self, model: Any, inputs: ModelInputs, preprocessing: Preprocessing, context: TrainerContext
    ) -> ServingModel:
        further = user_signatures(self.config.serving_fn, context, model) if self.config.serving_fn else ()
        raw_spec = serving_spec(preprocessing, inputs.names, self.config.label)
        return ServingModel(model, inputs, preprocessing, raw_spec, further)

    def _context(self, preprocessing: Preprocessing, plan: BatchPlan) -> TrainerContext:
        config = self.config
        hidden = {config.label}
        if preprocessing.tf_transform_output is None:
            hidden |= not_in_serving(preprocessing.schema)
        context = TrainerContext(
            hparams=HParams({**config.hparams, **self.request.tuned_hparams}),
            feature_spec={name: spec for name, spec in preprocessing.model_spec.items() if name not in hidden},
            label=config.label,
            schema=preprocessing.schema,
            tf_transform_output=preprocessing.tf_transform_output,
            keras=self.keras.module,
            num_replicas=plan.replicas,
            num_workers=self.place.workers,
            global_batch_size=plan.global_batch,
            quantize_aware=config.quantize_aware,
        )
        _log.info("%d replica(s) of %d rows, global batch %d", plan.replicas, config.batch_size, plan.global_batch)
        return context


def _caveat(config: TrainerConfig) -> str:
    """Say why the weights may not become those of a run that nobody ended."""
    if isinstance(config.strategy, ParameterServerStrategy):
        return "; parameter servers never repeat themselves exactly"
    if config.callbacks_fn:
        return f"; what the callbacks of {config.callbacks_fn} remember is in no checkpoint, they begin anew"
    return "" if config.runtime.deterministic else "; without runtime.deterministic the last digits may be others"


def _require_same_start(steps: list[list[float]], folder: Path) -> None:
    starts = [int(step) for (step,) in steps]
    if len(set(starts)) > 1:
        raise EnvironmentProblem(
            "the workers do not go on from the same checkpoint",
            where=str(folder),
            received="; ".join(f"worker {number} after step {start}" for number, start in enumerate(starts)),
            expected="the same checkpoints in the sight of all workers",
            hint="put the pipeline's root on storage that all workers share",
        )


def _check_label(label: str, preprocessing: Preprocessing) -> None:
    features = preprocessing.model_spec
    if not features:
        raise ArtifactError(
            "the schema has no feature: the split that its statistics were made of has no row",
            expected="rows in every split",
            hint="add rows, of which few may fall into one split, or see the ExampleGen's output_config",
        )
    if label not in features:
        raise ArtifactError(
            f"the examples have no label {label!r}",
            received=label,
            expected=f"one of the features {describe(features)}",
            hint=did_you_mean(label, features),
        )
    if features[label].dtype == tf.string:
        raise ArtifactError(
            f"label {label!r} is text, and a loss needs a number",
            received=describe({label: features[label]}),
            expected="an integer class or a float",
            hint="number it in preprocessing_fn, e.g. with tft.compute_and_apply_vocabulary",
        )
