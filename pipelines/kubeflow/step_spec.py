"""What a step's container is told about its step: plain data, one JSON argument of its command."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from penstock.pipelines.kubeflow.bindings import Binding
from penstock.pipelines.kubeflow.parameters import Parameter

CHANNEL = "pipelinechannel--"
"""What KFP puts before a pipeline's parameter where it is an input of a task."""


@dataclass(frozen=True)
class InputSpec:
    """One input of a component.

    Attributes:
        type: Import path of the artifact's class.
        names: The names of KFP's inputs that feed it; KFP joins no artifacts of several tasks.
    """

    type: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class StepSpec:
    """One step.

    Attributes:
        step: Its name.
        executor: Import path of the executor's class.
        inputs: Input key → what feeds it.
        outputs: Output key → import path of the artifact's class.
        config_model: ``module:Class`` of the model that checks property ``config``; None where there is none.
        driver: Import path of TFX's driver that resolves the properties before the executor gets them.
        beam: Flags for Beam.
        remote: Whether Beam's workers are other machines, which see URIs and not this container's files.
        parameters: The runtime parameters that the step uses.
        bindings: Where their values go.
        encoded: Properties whose values are TFX's JSON of something else.
        integers: Properties that are integers; KFP hands every number over as a float.
    """

    step: str
    executor: str
    inputs: Mapping[str, InputSpec] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    config_model: str | None = None
    driver: str | None = None
    beam: tuple[str, ...] = ()
    remote: bool = False
    parameters: tuple[Parameter, ...] = ()
    bindings: tuple[Binding, ...] = ()
    encoded: tuple[str, ...] = ()
    integers: tuple[str, ...] = ()

    def dumps(self) -> str:
        """Return the step as JSON without anything that Kubernetes or KFP would replace in an argument."""
        data = {name: value for name, value in asdict(self).items() if value}
        data["bindings"] = [binding.to_json() for binding in self.bindings]
        text = json.dumps(data, sort_keys=True, separators=(",", ":"))
        # A dollar stands inside texts only. Kubernetes would replace $(NAME), and KFP {{$…}}.
        return text.replace("$", "\\u0024")

    @classmethod
    def loads(cls, text: str) -> StepSpec:
        """Inverse of :meth:`dumps`."""
        data: dict[str, Any] = json.loads(text)
        return cls(
            step=data["step"],
            executor=data["executor"],
            inputs={key: InputSpec(each["type"], tuple(each["names"])) for key, each in data.get("inputs", {}).items()},
            outputs=data.get("outputs", {}),
            config_model=data.get("config_model"),
            driver=data.get("driver"),
            beam=tuple(data.get("beam", ())),
            remote=data.get("remote", False),
            parameters=tuple(Parameter(**each) for each in data.get("parameters", ())),
            bindings=tuple(map(Binding.from_json, data["bindings"])),
            encoded=tuple(data.get("encoded", ())),
            integers=tuple(data.get("integers", ())),
        )
