"""Translates between TFX's dictionaries and :func:`penstock.components.pusher.push.push`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_executor
from tfx.types import artifact_utils
from tfx.utils import path_utils

from penstock.components.pusher.config import PusherConfig
from penstock.components.pusher.push import PushRequest, PushResult, push

Artifacts = dict[str, list[types.Artifact]]


class Executor(base_executor.BaseExecutor):
    """Executor of :class:`penstock.components.pusher.component.Pusher`."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:  # noqa: N802
        """Push the model when it is blessed, and record the outcome on the ``pushed_model`` artifact.

        Args:
            input_dict: ``model``, and when wired ``model_blessing`` and ``infra_blessing``.
            output_dict: ``pushed_model``.
            exec_properties: ``config``, a :class:`PusherConfig` as JSON.
        """
        result = push(_request(input_dict, exec_properties))
        _record(artifact_utils.get_single_instance(output_dict["pushed_model"]), result)


def _request(inputs: Artifacts, properties: dict[str, Any]) -> PushRequest:
    config = PusherConfig.model_validate_json(properties["config"])
    model = artifact_utils.get_single_instance(inputs["model"])
    return PushRequest(
        model=Path(path_utils.serving_model_path(model.uri)),
        directory=Path(config.destination.directory),
        version=config.version,
        model_blessed=_blessed(inputs.get("model_blessing")),
        infra_blessed=_blessed(inputs.get("infra_blessing")),
        require_blessing=config.require_blessing,
    )


def _blessed(blessings: list[types.Artifact] | None) -> bool | None:
    if not blessings:
        return None
    return bool(artifact_utils.get_single_instance(blessings).get_int_custom_property("blessed") == 1)


def _record(pushed_model: types.Artifact, result: PushResult) -> None:
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
