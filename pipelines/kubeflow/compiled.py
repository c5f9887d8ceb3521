"""A compiled pipeline: plain data, and the text that is uploaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from penstock.pipelines.kubeflow.parameters import Parameter, check_values


@dataclass(frozen=True)
class Compiled:
    """What :func:`penstock.pipelines.kubeflow.compile_pipeline` makes of a config.

    Attributes:
        name: KFP's name of the pipeline.
        target: Where it runs.
        root: URL below which the artifacts lie.
        spec: KFP's ``PipelineSpec``.
        platform: What only Kubernetes knows of it, a second document; None where there is nothing.
        parameters: What a run may set.
        notes: What its author should know, one sentence each.
    """

    name: str
    target: Literal["kubeflow", "vertex"]
    root: str
    spec: dict[str, Any]
    platform: dict[str, Any] | None = None
    parameters: tuple[Parameter, ...] = ()
    notes: tuple[str, ...] = ()

    def to_yaml(self) -> str:
        """Return the text of a pipeline file, the same for the same pipeline to the byte."""
        import yaml

        documents = [self.spec, self.platform] if self.platform else [self.spec]
        dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
        # One line a text, whatever its length: where lines are broken would depend on the library.
        return str(yaml.dump_all(documents, Dumper=_without_aliases(dumper), sort_keys=True, width=1 << 30))

    def check_parameters(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values that a run is given, each of its parameter's type.

        Raises:
            ConfigError: A name is unknown, or a value of the wrong type.
        """
        return check_values(self.parameters, given)


def _without_aliases(dumper: Any) -> Any:
    """Return the dumper without YAML's anchors: equal parts are written out, as KFP's own compiler does."""
    return type("_Dumper", (dumper,), {"ignore_aliases": lambda _self, _data: True})
