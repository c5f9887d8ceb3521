"""Translates between TFX's dictionaries and :func:`penstock.components.batch_inference.infer.infer`."""

from __future__ import annotations

import glob
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils
from tfx.utils import path_utils

from penstock.components.batch_inference.config import BatchInferenceConfig
from penstock.components.batch_inference.infer import infer
from penstock.components.batch_inference.pinned import pin
from penstock.components.batch_inference.places import Place, place_of
from penstock.components.batch_inference.request import InferenceRequest, InferenceResult, PinnedModel
from penstock.components.batch_inference.visible import require_visible
from penstock.components.example_files import split_files
from penstock.errors import ArtifactError, ConfigError
from penstock.reporting import note

Artifacts = dict[str, list[types.Artifact]]
WORK = ".inference"
"""Beside the step's outputs: what a run that was killed has finished, and errors files of one that had too many."""


class Executor(base_beam_executor.BaseBeamExecutor):
    """Executor of :class:`penstock.components.batch_inference.component.BatchInference`."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:  # noqa: N802
        """Score, and record the outcome on the ``predictions`` artifact.

        Args:
            input_dict: ``model`` or ``pushed_model`` unless a server is asked, ``examples`` unless files are named, and
                when wired ``model_blessing``.
            output_dict: ``predictions``.
            exec_properties: ``config``, a :class:`BatchInferenceConfig` as JSON.
        """
        config = BatchInferenceConfig.model_validate_json(exec_properties["config"])
        predictions = artifact_utils.get_single_instance(output_dict["predictions"])
        if reason := _why_not(input_dict):
            note(f"nothing is scored: {reason}")
            predictions.set_int_custom_property("scored", 0)
            predictions.set_string_custom_property("reason", reason)
            return
        request = _request(input_dict, config, place_of(predictions.uri))
        require_visible(request, self._beam_pipeline_args or ())
        result = infer(request, self._make_beam_pipeline)
        _record(predictions, request, result)


def _why_not(inputs: Artifacts) -> str:
    """Return why nothing is to be scored; empty where all is well."""
    if inputs.get("model_blessing"):
        blessing = artifact_utils.get_single_instance(inputs["model_blessing"])
        if blessing.get_int_custom_property("blessed") != 1:
            return "the model is not blessed"
    if inputs.get("pushed_model"):
        pushed = artifact_utils.get_single_instance(inputs["pushed_model"])
        if pushed.get_int_custom_property("pushed") != 1:
            return "no model was pushed"
    return ""


def _request(inputs: Artifacts, config: BatchInferenceConfig, output: Place) -> InferenceRequest:
    files = (config.input.files,) if config.input.files else _files(inputs, config)
    if not config.input.files and config.input.format is None:
        config = config.model_copy(update={"input": config.input.model_copy(update={"format": "tfrecord"})})
    model = None if config.remote else _model(inputs)
    return InferenceRequest(config, files, output, model, work=output.parent.parent / WORK)


def _model(inputs: Artifacts) -> PinnedModel:
    if inputs.get("pushed_model"):
        return _pushed(artifact_utils.get_single_instance(inputs["pushed_model"]))
    if inputs.get("model"):
        model = artifact_utils.get_single_instance(inputs["model"])
        return pin(place_of(path_utils.serving_model_path(model.uri)))
    raise ConfigError(
        "no model is wired", expected="`model`, `pushed_model`, or mode: {remote: {grpc: host:8500, model: name}}"
    )


def _pushed(artifact: types.Artifact) -> PinnedModel:
    """Return the version that a Pusher pushed, stock or ours, if it is still what was pushed."""
    path = place_of(artifact.get_string_custom_property("pushed_destination") or artifact.uri)
    version = artifact.get_string_custom_property("pushed_version")
    name = artifact.get_string_custom_property("model_name")
    pinned = pin(path, name=name, version=int(version) if version.isdecimal() else None)
    digest = artifact.get_string_custom_property("digest")
    if digest and digest != pinned.digest:
        raise ArtifactError(
            "the pushed version is not what was pushed",
            where=str(path),
            received=f"digest {pinned.digest}",
            expected=f"digest {digest}",
            hint="push the model again as a new version",
        )
    return pinned


def _files(inputs: Artifacts, config: BatchInferenceConfig) -> tuple[str, ...]:
    """Return the files of the wanted splits over all artifacts."""
    artifacts = inputs.get("examples") or []
    if not artifacts:
        raise ConfigError("there are no rows", expected="`examples`, or input: {files: 'data/*.csv'}")
    found: list[str] = []
    for artifact in artifacts:
        for split in config.input.splits or artifact_utils.decode_split_names(artifact.split_names):
            found += map(glob.escape, split_files([artifact], split, "only tf.Examples are scored"))
    return tuple(found)


def _record(predictions: types.Artifact, request: InferenceRequest, result: InferenceResult) -> None:
    predictions.set_int_custom_property("scored", 1)
    predictions.set_string_custom_property("reason", "")
    for name in ("rows", "results", "errors"):
        predictions.set_int_custom_property(name, getattr(result, name))
    predictions.set_string_custom_property("format", request.config.output.format)
    model = result.model
    predictions.set_string_custom_property("model_digest", model.get("digest", ""))
    predictions.set_string_custom_property("model_name", model.get("name", ""))
    if model.get("version") is not None:
        predictions.set_int_custom_property("model_version", model["version"])
