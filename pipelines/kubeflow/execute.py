"""Executes one step of TFX where KFP's launcher has started it: what goes in and comes out is KFP's JSON."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from penstock.errors import ConfigError
from penstock.pipelines.kubeflow.artifacts import read_artifacts, write_artifact
from penstock.pipelines.kubeflow.bindings import fill
from penstock.pipelines.kubeflow.markers import remove_markers
from penstock.pipelines.kubeflow.parameters import check_values
from penstock.pipelines.kubeflow.step_spec import CHANNEL, StepSpec
from penstock.recording import recording

_LEGACY_KERAS = "TF_USE_LEGACY_KERAS"
Places = Mapping[str, str]
"""KFP's name of an input or output → where its files are."""


@dataclass(frozen=True)
class ExecutorInput:
    """KFP's ``ExecutorInput``, of which each part may be missing."""

    data: Mapping[str, Any]

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The values of the parameters, by name."""
        return dict(self.data.get("inputs", {}).get("parameterValues", {}))

    def inputs(self, name: str) -> list[Mapping[str, Any]]:
        """Return the runtime artifacts of an input."""
        return list(self.data.get("inputs", {}).get("artifacts", {}).get(name, {}).get("artifacts", []))

    def output(self, name: str) -> Mapping[str, Any]:
        """Return the runtime artifact that is provided for an output."""
        found: list[Mapping[str, Any]] = self.data.get("outputs", {}).get("artifacts", {})[name]["artifacts"]
        return found[0]

    @property
    def output_file(self) -> str:
        """Where the launcher looks for what came out."""
        return str(self.data["outputs"]["outputFile"])


def execute(spec: StepSpec, executor_input: ExecutorInput, inputs: Places, outputs: Places) -> dict[str, Any]:
    """Run a step's executor and return KFP's ``ExecutorOutput``, which is written where the launcher looks for it.

    Args:
        spec: The step.
        executor_input: What KFP says of this execution.
        inputs: Where the input artifacts' files are.
        outputs: Where those of the outputs go.

    Raises:
        ConfigError: A runtime parameter has a value that the step does not take.
        Exception: Whatever the step raised.
    """
    executor_class = _import_executor(spec.executor)  # First: it chooses Keras.
    from tfx.orchestration.portable.outputs_utils import tag_output_artifacts_with_version
    from tfx.orchestration.portable.python_executor_operator import hydrate_value_artifacts

    given = {
        port: [
            artifact
            for name in each.names
            for runtime in executor_input.inputs(name)
            for artifact in read_artifacts(runtime, each.type, inputs[name])
        ]
        for port, each in spec.inputs.items()
    }
    made = {
        name: read_artifacts(executor_input.output(name), class_path, outputs[name])
        for name, class_path in spec.outputs.items()
    }
    _make_folders(made, remote=spec.remote)
    properties = _driven(spec, _properties(spec, executor_input.parameters), made)
    hydrate_value_artifacts(given)
    with recording(), _executor(executor_class, spec, executor_input) as executor:
        returned = executor.Do(given, made, properties)
        if returned is not None:
            _take_over(returned, made)
        tag_output_artifacts_with_version(made)
        result = {
            "artifacts": {
                name: {"artifacts": [write_artifact(found, executor_input.output(name), outputs[name])]}
                for name, found in made.items()
            }
        }
        for place in outputs.values() if spec.remote else ():
            remove_markers(place)
        result = _with_urls(result, spec, executor_input, {**inputs, **outputs})
        write_output(executor_input.output_file, result)
    return result


def write_output(file: str, result: Mapping[str, Any]) -> None:
    """Write KFP's ``ExecutorOutput``; on Vertex AI the file is behind a URL."""
    import json

    from tfx.dsl.io import fileio

    fileio.makedirs(os.path.dirname(file))  # noqa: PTH120  It may be a URL.
    with fileio.open(file, "w") as stream:
        stream.write(json.dumps(result, sort_keys=True))


def _properties(spec: StepSpec, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the execution properties, with the runtime parameters in their places and numbers of the right type."""
    from tfx.utils import json_utils

    channels = {name.removeprefix(CHANNEL): value for name, value in parameters.items() if name.startswith(CHANNEL)}
    plain = {name: value for name, value in parameters.items() if not name.startswith(CHANNEL)}
    plain |= {name: int(plain[name]) for name in spec.integers}
    values = check_values(spec.parameters, channels)
    properties = fill(plain, spec.bindings, values)
    properties |= {name: json_utils.loads(properties[name]) for name in spec.encoded}
    if spec.config_model and values:
        _check_config(spec, properties["config"], values)
    return properties


def _check_config(spec: StepSpec, config: str, values: Mapping[str, Any]) -> None:
    """Refuse a runtime parameter in the words of the component's model, before anything is read or trained."""
    from pydantic import ValidationError

    module, _, attribute = (spec.config_model or "").partition(":")
    try:
        getattr(import_module(module), attribute).model_validate_json(config)
    except ValidationError as error:
        found = error.errors(include_url=False)[0]
        raise ConfigError(
            f"step '{spec.step}' does not take the run's parameters: {_words(found)}",
            received=", ".join(f"{name}={value!r}" for name, value in sorted(values.items())),
            hint="start the run again with another value",
        ) from error


def _words(error: Any) -> str:
    return f"{'.'.join(map(str, error['loc']))}: {error['msg']}"


def _driven(spec: StepSpec, properties: dict[str, Any], outputs: Mapping[str, list[Any]]) -> dict[str, Any]:
    """Let TFX's driver resolve spans, file patterns and the data's fingerprint.

    TFX asks KFP to run drivers in a hook before the cache is looked at, and only Vertex AI has such a hook.
    """
    if spec.driver is None:
        return properties
    from tfx.components.example_gen.driver import Driver, update_output_artifact
    from tfx.orchestration.data_types import ComponentInfo, PipelineInfo
    from tfx.utils import import_utils

    driver = import_utils.import_class_by_path(spec.driver)
    if not issubclass(driver, Driver):
        raise ConfigError(f"step '{spec.step}' has a driver of its own, which needs ML Metadata", received=spec.driver)
    pipeline = PipelineInfo("", "")
    resolved: dict[str, Any] = driver(None).resolve_exec_properties(
        properties, pipeline, ComponentInfo("", "", pipeline)
    )
    for artifacts in outputs.values():
        update_output_artifact(resolved, artifacts[0].mlmd_artifact)
    return resolved


def _make_folders(outputs: Mapping[str, list[Any]], *, remote: bool) -> None:
    """Make the folders of outputs: KFP's launcher makes only those that hold them, and an object store has none."""
    from tfx.types.value_artifact import ValueArtifact

    for artifact in (found for artifacts in outputs.values() for found in artifacts):
        if not remote and not isinstance(artifact, ValueArtifact):
            Path(artifact.uri).mkdir(parents=True, exist_ok=True)


def _import_executor(class_path: str) -> Any:
    """Import the executor's class.

    tf.keras is chosen at its first use. TensorFlow Transform, which some executors import, sets the switch for Keras 2
    for this process and all that it starts, so the choice is made before and the switch put back after.
    """
    wanted = os.environ.get(_LEGACY_KERAS)
    import tensorflow as tf

    assert tf.keras.Model  # noqa: S101  This is its first use.
    from tfx.utils import import_utils

    executor = import_utils.import_class_by_path(class_path)
    if wanted is None:
        os.environ.pop(_LEGACY_KERAS, None)
    return executor


@contextmanager
def _executor(executor: Any, spec: StepSpec, executor_input: ExecutorInput) -> Iterator[Any]:
    from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
    from tfx.dsl.components.base.base_executor import BaseExecutor

    from penstock.pipelines.engines.tfx_package import packed_where_needed

    task = os.path.dirname(executor_input.output_file)  # noqa: PTH120  It may be a URL.
    with tempfile.TemporaryDirectory(prefix="penstock-step-") as scratch:
        place = {"unique_id": Path(task).name, "tmp_dir": _shared_folder(executor_input) if spec.remote else scratch}
        if issubclass(executor, BaseBeamExecutor):
            with packed_where_needed():
                made = executor(BaseBeamExecutor.Context(beam_pipeline_args=list(spec.beam), **place))
            yield made
        else:
            yield executor(BaseExecutor.Context(extra_flags=[], **place))


def _shared_folder(executor_input: ExecutorInput) -> str:
    """Return a folder beside the first output, which Beam's workers see too."""
    artifacts = executor_input.data["outputs"]["artifacts"]
    first = min(artifacts)
    return f"{artifacts[first]['artifacts'][0]['uri'].rpartition('/')[0]}/.temp"


def _take_over(returned: Any, outputs: dict[str, list[Any]]) -> None:
    """Let what an executor returns, instead of changing its outputs in place, become the outputs."""
    for name, artifacts in returned.output_artifacts.items():
        kind = type(outputs[name][0])
        found = []
        for message in artifacts.artifacts:
            artifact = kind()
            artifact.set_mlmd_artifact(message)
            found.append(artifact)
        outputs[name][:] = found


def _with_urls(result: dict[str, Any], spec: StepSpec, executor_input: ExecutorInput, places: Places) -> dict[str, Any]:
    """Replace this container's paths in the metadata by the URIs that they are copies of."""
    urls = {places[name]: str(executor_input.output(name)["uri"]) for name in spec.outputs}
    for name in (name for each in spec.inputs.values() for name in each.names):
        for runtime in executor_input.inputs(name):
            urls[places[name]] = str(runtime["uri"])
    return {
        "artifacts": {
            name: {
                "artifacts": [{**found, "metadata": _replaced(found["metadata"], urls)} for found in each["artifacts"]]
            }
            for name, each in result["artifacts"].items()
        }
    }


def _replaced(metadata: Mapping[str, Any], urls: Mapping[str, str]) -> dict[str, Any]:
    found = dict(metadata)
    for key, value in metadata.items():
        for place, url in urls.items():
            if isinstance(value, str) and (value == place or value.startswith(f"{place}/")):
                found[key] = url + value.removeprefix(place)
    return found
