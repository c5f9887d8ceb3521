"""Trains a model from files to a checked SavedModel. Knows nothing of TFX."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from penstock.closest import did_you_mean
from penstock.components.trainer import runtime
from penstock.components.trainer.config import TrainerConfig
from penstock.components.trainer.context import HParams, TrainerContext
from penstock.components.trainer.export import ServingModel, export_saved_model
from penstock.components.trainer.feature_specs import describe, not_in_serving
from penstock.components.trainer.fit import FitOutcome, fit_model
from penstock.components.trainer.input_pipeline import RowParser, evaluation_data, training_data
from penstock.components.trainer.model import ModelInputs, build_model, model_inputs
from penstock.components.trainer.predict_gate import SignatureCheck, check_saved_model
from penstock.components.trainer.preprocessing import Preprocessing, load_preprocessing, serving_spec
from penstock.components.trainer.records import Split, count_rows, first_records, reading
from penstock.components.trainer.report import TrainingReport, write_report
from penstock.components.trainer.strategies import make_strategy
from penstock.errors import ArtifactError
from penstock.user_code import user_code_boundary

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SplitFiles:
    """The TFRecord files of the splits that a run reads.

    Args:
        train: Files to train on.
        evaluation: Files for validation.
        raw_evaluation: Raw examples of the evaluation split, for the predict gate.
        transformed: ``train`` and ``evaluation`` are already transformed.
    """

    train: tuple[str, ...]
    evaluation: tuple[str, ...]
    raw_evaluation: tuple[str, ...]
    transformed: bool = False


@dataclass(frozen=True)
class TrainRequest:
    """One training run.

    Args:
        config: The Trainer's parameters.
        files: What to read.
        saved_model: Folder that the SavedModel becomes; it must not exist.
        keras_file: File that the whole model becomes, ``.keras``.
        run_folder: Folder for the run's reports.
        schema: File of the raw schema; needed without a transform graph.
        transform_graph: Transform's output folder, or None.
        tuned_hparams: Hyperparameters of a Tuner, which override those of the configuration.
    """

    config: TrainerConfig
    files: SplitFiles
    saved_model: Path
    keras_file: Path
    run_folder: Path
    schema: Path | None = None
    transform_graph: Path | None = None
    tuned_hparams: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrainResult:
    """A finished run: its figures, the predict gate's findings included."""

    report: TrainingReport


def train(request: TrainRequest) -> TrainResult:
    """Train, export, and check the export; nothing is published before the check has passed.

    Raises:
        UserCodeError: ``model_fn`` fails or returns something that cannot be trained on the data.
        ArtifactError: The data is empty, damaged or without the label, the loss is no number, or the exported model
            does not answer as the trained one.
        ConfigError: Neither a schema nor a transform graph is given.
        EnvironmentProblem: A device is missing, or TensorFlow was started too early.
    """
    config = request.config
    runtime.configure(config.runtime)
    keras.utils.set_random_seed(config.seed)
    preprocessing = load_preprocessing(request.transform_graph, request.schema)
    _check_label(config.label, preprocessing)
    splits = _count_splits(request)
    strategy = make_strategy(config.strategy)
    context = _context(request, preprocessing, strategy.num_replicas_in_sync)
    model = build_model(config.model_fn, context, strategy)
    inputs = model_inputs(model, context.feature_spec, config.model_fn)
    serving = ServingModel(model, inputs, preprocessing, serving_spec(preprocessing, inputs.names, config.label))
    outcome = _fit(config, model, splits, _parser(request, preprocessing, inputs), context.global_batch_size)
    checks = _publish(request, serving)
    report = _report(request, context, model, outcome, splits[0].rows, checks)
    write_report(request.run_folder, outcome, report)
    return TrainResult(report)


def _count_splits(request: TrainRequest) -> tuple[Split, Split]:
    config, files = request.config, request.files
    training = count_rows(files.train, config.train_split, config.input)
    evaluation = count_rows(files.evaluation, config.eval_split, config.input)
    _log.info("%d rows to train on, %d to evaluate", training.rows, evaluation.rows)
    return training, evaluation


def _check_label(label: str, preprocessing: Preprocessing) -> None:
    features = preprocessing.model_spec
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


def _context(request: TrainRequest, preprocessing: Preprocessing, replicas: int) -> TrainerContext:
    config = request.config
    hidden = {config.label}
    if preprocessing.tf_transform_output is None:
        hidden |= not_in_serving(preprocessing.schema)
    context = TrainerContext(
        hparams=HParams({**config.hparams, **request.tuned_hparams}),
        feature_spec={name: spec for name, spec in preprocessing.model_spec.items() if name not in hidden},
        label=config.label,
        schema=preprocessing.schema,
        tf_transform_output=preprocessing.tf_transform_output,
        num_replicas=replicas,
        global_batch_size=replicas * config.batch_size,
    )
    _log.info(
        "strategy %s: %d replica(s) of %d rows, global batch %d",
        config.strategy.name,
        replicas,
        config.batch_size,
        context.global_batch_size,
    )
    return context


def _parser(request: TrainRequest, preprocessing: Preprocessing, inputs: ModelInputs) -> RowParser:
    make = partial(RowParser, inputs=inputs.names, label=request.config.label, single=inputs.single)
    if request.files.transformed:
        return make(spec=preprocessing.model_spec, transform=dict)
    return make(spec=preprocessing.raw_spec, transform=preprocessing.apply)


def _fit(
    config: TrainerConfig, model: Any, splits: tuple[Split, Split], parser: RowParser, global_batch: int
) -> FitOutcome:
    training, evaluation = splits
    with reading([*training.files, *evaluation.files]):
        return fit_model(
            model,
            training_data(training, parser, config.input, batch=global_batch, seed=config.seed),
            evaluation_data(evaluation, parser, config.input, batch=global_batch),
            config,
        )


def _publish(request: TrainRequest, serving: ServingModel) -> tuple[SignatureCheck, ...]:
    """Export beside the final place, check, and only then move there."""
    config = request.config
    partial_export = _beside(request.saved_model)
    with user_code_boundary(f"exporting the model of {config.model_fn!r}"):
        export_saved_model(serving, partial_export)
    with reading(request.files.raw_evaluation):
        examples = first_records(request.files.raw_evaluation, config.eval_split, config.gate.rows)
        checks = check_saved_model(partial_export, serving, examples, config.gate)
    partial_file = _beside(request.keras_file)
    with user_code_boundary(f"saving the model of {config.model_fn!r} as .keras"):
        serving.model.save(partial_file)
    partial_file.rename(request.keras_file)
    partial_export.rename(request.saved_model)
    return checks


def _beside(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f".partial-{path.name}")


def _report(
    request: TrainRequest,
    context: TrainerContext,
    model: Any,
    outcome: FitOutcome,
    rows: int,
    checks: tuple[SignatureCheck, ...],
) -> TrainingReport:
    config = request.config
    trained = config.epochs * rows if config.epochs else outcome.steps * context.global_batch_size
    return TrainingReport(
        model_fn=config.model_fn,
        strategy=config.strategy.name,
        replicas=context.num_replicas,
        global_batch_size=context.global_batch_size,
        epochs=config.epochs,
        steps=outcome.steps,
        parameters=int(model.count_params()),
        wall_seconds=outcome.wall_seconds,
        examples_per_second=trained / outcome.wall_seconds,
        final_metrics={name: values[-1] for name, values in outcome.history.items()},
        hparams=dict(context.hparams),
        seed=config.seed,
        signatures=checks,
        keras_version=keras.__version__,
        tensorflow_version=tf.__version__,
    )
