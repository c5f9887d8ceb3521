"""Translates between TFX's dictionaries and the plain functions that push a SavedModel or flatbuffers."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import path_utils

from penstock.components.example_files import split_files
from penstock.components.pusher.blessing import Verdicts
from penstock.components.pusher.config import PusherConfig, WarmUp
from penstock.components.pusher.flatbuffers import Flatbuffer
from penstock.components.pusher.journal import Journal
from penstock.components.pusher.push import PushRequest, PushResult, push
from penstock.components.pusher.push_flatbuffers import FlatbufferRequest, push_flatbuffers
from penstock.recording import when_recorded

Artifacts = dict[str, list[types.Artifact]]


class Executor(base_executor.BaseExecutor):
    """Executor of :class:`penstock.components.pusher.component.Pusher`."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:  # noqa: N802
        """Push the model when it is blessed, and record the outcome on the ``pushed_model`` artifact.

        Args:
            input_dict: ``model`` or ``tflite_model``, and when wired ``model_blessing``, ``infra_blessing`` and
                ``examples``.
            output_dict: ``pushed_model``.
            exec_properties: ``config``, a :class:`PusherConfig` as JSON.
        """
        config = PusherConfig.model_validate_json(exec_properties["config"])
        journal = _journal(input_dict, output_dict, exec_properties)
        if config.destination.flatbuffers:
            result = push_flatbuffers(replace(_flatbuffer_request(input_dict, config), journal=journal))
        else:
            result = push(replace(_request(input_dict, config), journal=journal))
        when_recorded(journal.close)
        _record(artifact_utils.get_single_instance(output_dict["pushed_model"]), config.name, result)


def _journal(inputs: Artifacts, outputs: Artifacts, properties: dict[str, Any]) -> Journal:
    """Return the note of this push; it lies in the step's folder, since the output's goes with a killed attempt."""
    pushed = {key: sorted(artifact.uri for artifact in found) for key, found in inputs.items()}
    described = json.dumps([properties["config"], pushed], sort_keys=True)
    step = Path(artifact_utils.get_single_uri(outputs["pushed_model"])).parent.parent
    return Journal(step / ".push.json", hashlib.sha256(described.encode()).hexdigest())


def _flatbuffer_request(inputs: Artifacts, config: PusherConfig) -> FlatbufferRequest:
    return FlatbufferRequest(
        flatbuffers=tuple(
            Flatbuffer(found.mode, Path(found.uri), found.blessed == 1, found.reason, found.digest)
            for found in inputs["tflite_model"]
        ),
        config=config,
        verdicts=Verdicts(_blessed(inputs.get("model_blessing")), _blessed(inputs.get("infra_blessing"))),
    )


def _request(inputs: Artifacts, config: PusherConfig) -> PushRequest:
    model = artifact_utils.get_single_instance(inputs["model"])
    return PushRequest(
        model=Path(path_utils.serving_model_path(model.uri)),
        config=config,
        model_blessed=_blessed(inputs.get("model_blessing")),
        infra_blessed=_blessed(inputs.get("infra_blessing")),
        row_files=_row_files(inputs.get("examples"), config.warmup),
    )


def _row_files(examples: list[types.Artifact] | None, warmup: WarmUp | None) -> tuple[str, ...] | None:
    """Return the files of the split that the warm-up rows are taken from."""
    if not examples or warmup is None:
        return None
    only = "warm-up requests are made of tf.Examples only"
    return split_files(examples, warmup.split, only, key="warmup.split", hint="leave `warmup` out")


def _blessed(blessings: list[types.Artifact] | None) -> bool | None:
    if not blessings:
        return None
    return bool(artifact_utils.get_single_instance(blessings).get_int_custom_property("blessed") == 1)


def _record(pushed_model: types.Artifact, name: str, result: PushResult) -> None:
    pushed_model.set_int_custom_property("pushed", int(result.pushed))
    pushed_model.set_string_custom_property("reason", result.reason)
    if result.version is not None:
        pushed_model.set_int_custom_property("version", result.version)
        # TFX's own Pusher records the version as text under this name; its consumers read it.
        pushed_model.set_string_custom_property("pushed_version", str(result.version))
    if result.path is not None:
        pushed_model.set_string_custom_property("pushed_destination", result.path)
    if result.digest is not None:
        pushed_model.set_string_custom_property("digest", result.digest)
        pushed_model.set_string_custom_property("model_name", name)
        pushed_model.set_string_custom_property("labels", json.dumps(dict(result.labels)))
    if result.modes:
        pushed_model.set_string_custom_property("modes", ", ".join(result.modes))
