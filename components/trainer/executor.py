"""Translates between TFX's dictionaries and :func:`penstock.components.trainer.train.train`."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Mapping
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import io_utils, path_utils

from penstock.components.example_files import split_files
from penstock.components.trainer.cluster.environment import vertex_folder
from penstock.components.trainer.config import TrainerConfig
from penstock.components.trainer.options import LATEST_BLESSED
from penstock.components.trainer.request import SplitFiles, TrainRequest
from penstock.components.trainer.train import train
from penstock.errors import ArtifactError, ConfigError
from penstock.recording import when_recorded
from penstock.reporting import log_file, note

_log = logging.getLogger(__name__)
Artifacts = dict[str, list[types.Artifact]]
KERAS_FOLDER = "Format-Keras"
"""Beside TFX's ``Format-Serving`` in the model artifact; holds :data:`KERAS_FILE`."""
KERAS_FILE = "model.keras"
CHECKPOINTS = ".checkpoints"
"""Beside the step's outputs, or where Vertex AI wants it; a training that was killed goes on from there."""
_CHANGEABLE = frozenset(
    {"checkpoint", "cluster", "gate", "max_restarts", "serving_fn", "steps_per_execution", "tensorboard"}
)
"""Parameters that do not change which weights come out."""


class Executor(base_executor.BaseExecutor):
    """Executor of :class:`penstock.components.trainer.component.Trainer`."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:  # noqa: N802
        """Train, and record the outcome on the ``model`` artifact.

        Args:
            input_dict: ``examples``, and when wired ``transformed_examples``, ``transform_graph``, ``schema``,
                ``hyperparameters`` and ``base_model``.
            output_dict: ``model`` and ``model_run``.
            exec_properties: ``config``, a :class:`TrainerConfig` as JSON.
        """
        request = _request(input_dict, output_dict, exec_properties)
        result = train(request)
        _record(artifact_utils.get_single_instance(output_dict["model"]), result.properties)
        if request.checkpoints and result.properties:  # Other tasks than the chief record nothing.
            # Those of other parameters too: this step has succeeded, nobody goes on from them.
            when_recorded(partial(_remove, request.checkpoints.parent))


def _remove(checkpoints: Path) -> None:
    try:
        if checkpoints.exists():
            shutil.rmtree(checkpoints)
    except OSError as error:
        _log.warning("checkpoints that nobody needs any more stay in %s: %s", checkpoints, error)


def _request(inputs: Artifacts, outputs: Artifacts, properties: dict[str, Any]) -> TrainRequest:
    config = TrainerConfig.model_validate_json(properties["config"])
    model = artifact_utils.get_single_instance(outputs["model"])
    transform_graph, schema = _uri(inputs, "transform_graph"), _uri(inputs, "schema")
    return TrainRequest(
        config=config,
        files=_split_files(inputs, config),
        saved_model=Path(path_utils.serving_model_dir(model.uri)),
        keras_file=Path(model.uri) / KERAS_FOLDER / KERAS_FILE,
        run_folder=Path(artifact_utils.get_single_uri(outputs["model_run"])),
        schema=Path(io_utils.get_only_uri_in_dir(schema)) if schema else None,
        transform_graph=Path(transform_graph) if transform_graph else None,
        tuned_hparams=_tuned_hparams(_uri(inputs, "hyperparameters")),
        base_model=_base_model(config, _uri(inputs, "base_model")),
        checkpoints=_checkpoints(Path(model.uri)) / _fingerprint(inputs, properties),
        tensorboard=vertex_folder(os.environ, "AIP_TENSORBOARD_LOG_DIR"),
        log=log_file(),
    )


def _checkpoints(model: Path) -> Path:
    """Return the folder for the checkpoints of this step, and of nothing else."""
    wanted = vertex_folder(os.environ, "AIP_CHECKPOINT_DIR")
    return model.parent.parent / CHECKPOINTS if wanted is None else wanted / CHECKPOINTS


def _fingerprint(inputs: Artifacts, properties: dict[str, Any]) -> str:
    """Return a name that two attempts at the same training share: same parameters, user code, inputs and versions.

    A training that fails for want of restarts, disk space or a better gate goes on with what its user changes.
    """
    config = {name: value for name, value in json.loads(properties["config"]).items() if name not in _CHANGEABLE}
    artifacts = {key: sorted(artifact.uri for artifact in found) for key, found in inputs.items()}
    packages = {name: version(name) for name in ("tensorflow", "keras", "tf_keras")}
    described = json.dumps([{**properties, "config": config}, artifacts, packages], sort_keys=True, default=str)
    return hashlib.sha256(described.encode()).hexdigest()[:16]


def _base_model(config: TrainerConfig, uri: str | None) -> Path | None:
    """Return the ``.keras`` file to start from; None for new weights, as where nothing is blessed yet."""
    if config.warm_start is None:
        return None
    if config.warm_start.source != LATEST_BLESSED:
        return Path(config.warm_start.source)
    if uri is None:
        note("warm start: there is no blessed model yet; new weights")
        return None
    return Path(uri) / KERAS_FOLDER / KERAS_FILE


def _split_files(inputs: Artifacts, config: TrainerConfig) -> SplitFiles:
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
    return split_files(examples, split, "the Trainer reads tf.Examples only")


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


def _record(model: types.Artifact, properties: Mapping[str, str | int | float]) -> None:
    for name, value in properties.items():
        if isinstance(value, str):
            model.set_string_custom_property(name, value)
        elif isinstance(value, int):
            model.set_int_custom_property(name, value)
        else:
            model.set_float_custom_property(name, value)
