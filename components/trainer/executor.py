"""Translates between TFX's dictionaries and :func:`penstock.components.trainer.train.train`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils

from penstock.closest import did_you_mean
from penstock.components.trainer.config import TrainerConfig
from penstock.errors import ArtifactError, ConfigError

if TYPE_CHECKING:
    from penstock.components.trainer.report import TrainingReport
    from penstock.components.trainer.train import SplitFiles, TrainRequest

Artifacts = dict[str, list[types.Artifact]]
_TF_EXAMPLE = "FORMAT_TF_EXAMPLE"
KERAS_FOLDER = "Format-Keras"
"""Beside TFX's ``Format-Serving`` in the model artifact; holds ``model.keras``."""


class Executor(base_executor.BaseExecutor):
    """Executor of :class:`penstock.components.trainer.component.Trainer`."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:  # noqa: N802
        """Train, and record the outcome on the ``model`` artifact.

        Args:
            input_dict: ``examples``, and when wired ``transformed_examples``, ``transform_graph``, ``schema`` and
                ``hyperparameters``.
            output_dict: ``model`` and ``model_run``.
            exec_properties: ``config``, a :class:`TrainerConfig` as JSON.
        """
        from penstock.components.trainer.train import train

        result = train(_request(input_dict, output_dict, exec_properties))
        _record(artifact_utils.get_single_instance(output_dict["model"]), result.report)


def _request(inputs: Artifacts, outputs: Artifacts, properties: dict[str, Any]) -> TrainRequest:
    from penstock.components.trainer.train import TrainRequest

    config = TrainerConfig.model_validate_json(properties["config"])
    model = artifact_utils.get_single_instance(outputs["model"])
    transform_graph, schema = _uri(inputs, "transform_graph"), _uri(inputs, "schema")
    return TrainRequest(
        config=config,
        files=_split_files(inputs, config),
        saved_model=Path(path_utils.serving_model_dir(model.uri)),
        keras_file=Path(model.uri) / KERAS_FOLDER / "model.keras",
        run_folder=Path(artifact_utils.get_single_uri(outputs["model_run"])),
        schema=Path(io_utils.get_only_uri_in_dir(schema)) if schema else None,
        transform_graph=Path(transform_graph) if transform_graph else None,
        tuned_hparams=_tuned_hparams(_uri(inputs, "hyperparameters")),
    )


def _split_files(inputs: Artifacts, config: TrainerConfig) -> SplitFiles:
    from penstock.components.trainer.train import SplitFiles

    transformed = inputs.get("transformed_examples") or []
    if transformed and not inputs.get("transform_graph"):
        raise ConfigError(
            "transformed examples need the transform graph that made them",
            received="'transformed_examples' without 'transform_graph'",
            expected="both wired",
            hint="wire transform_graph: the served model must transform its requests in the same way",
        )
    read = transformed or inputs["examples"]
    return SplitFiles(
        train=_files(read, config.train_split),
        evaluation=_files(read, config.eval_split),
        raw_evaluation=_files(inputs["examples"], config.eval_split),
        transformed=bool(transformed),
    )


def _files(examples: list[types.Artifact], split: str) -> tuple[str, ...]:
    """Return the files of a split over all artifacts, which are several when spans are joined."""
    for artifact in examples:
        _require_tf_examples(artifact)
        splits = artifact_utils.decode_split_names(artifact.split_names)
        if split not in splits:
            raise ArtifactError(
                f"the examples have no split {split!r}",
                where=artifact.uri,
                received=split,
                expected=f"one of {', '.join(splits)}",
                hint=did_you_mean(split, splits),
            )
    uris = artifact_utils.get_split_uris(examples, split)
    return tuple(file for uri in uris for file in sorted(fileio.glob(io_utils.all_files_pattern(uri))))


def _require_tf_examples(artifact: types.Artifact) -> None:
    # tfx.components.util.examples_utils would import all of TFX's components, which takes seconds.
    payload = artifact.get_string_custom_property("payload_format") or _TF_EXAMPLE
    if payload != _TF_EXAMPLE:
        raise ArtifactError(
            "the Trainer reads tf.Examples only",
            where=artifact.uri,
            received=payload,
            expected=_TF_EXAMPLE,
        )


def _uri(inputs: Artifacts, key: str) -> str | None:
    return str(artifact_utils.get_single_uri(inputs[key])) if inputs.get(key) else None


def _tuned_hparams(uri: str | None) -> dict[str, Any]:
    """Read KerasTuner's ``HyperParameters.get_config()``; its own bookkeeping is named ``tuner/...``."""
    if uri is None:
        return {}
    file = io_utils.get_only_uri_in_dir(uri)
    try:
        values = json.loads(io_utils.read_string_file(file))["values"]
    except (ValueError, KeyError, TypeError) as error:
        raise ArtifactError(
            f"the hyperparameters cannot be read: {type(error).__name__}: {error}",
            where=file,
            expected="JSON of keras_tuner.HyperParameters.get_config(), with 'values'",
        ) from error
    return {name: value for name, value in values.items() if not name.startswith("tuner/")}


def _record(model: types.Artifact, report: TrainingReport) -> None:
    for name, text in (
        ("strategy", report.strategy),
        ("keras_version", report.keras_version),
        ("tensorflow_version", report.tensorflow_version),
        ("hparams", json.dumps(report.hparams, sort_keys=True)),
    ):
        model.set_string_custom_property(name, text)
    counts = {"replicas": report.replicas, "global_batch_size": report.global_batch_size, "steps": report.steps}
    if report.epochs is not None:
        counts["epochs"] = report.epochs
    for name, count in counts.items():
        model.set_int_custom_property(name, count)
    for name, value in report.final_metrics.items():
        model.set_float_custom_property(name, value)
