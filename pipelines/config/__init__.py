"""The configuration language: YAML text to a typed, frozen configuration that knows where everything was written.

Knows nothing of components: their names, wires and parameters are checked by others, on the :class:`Document`.
Imports pydantic and ruamel.yaml only, so that checking a file stays fast.
"""

from penstock.closest import closest, did_you_mean
from penstock.pipelines.config.coercion import coerced
from penstock.pipelines.config.document import Document
from penstock.pipelines.config.kubeflow import KubeflowConfig, ResourcesConfig, ScheduleConfig, VertexConfig
from penstock.pipelines.config.loading import Loaded, Reading, load, read
from penstock.pipelines.config.marks import Mark
from penstock.pipelines.config.models import BeamConfig, MetadataConfig, PipelineConfig, StepConfig
from penstock.pipelines.config.problems import ConfigProblems, Problem
from penstock.pipelines.config.remainder import follows_from
from penstock.pipelines.config.translate import problems_from_pydantic

__all__ = [
    "BeamConfig",
    "ConfigProblems",
    "Document",
    "KubeflowConfig",
    "Loaded",
    "Mark",
    "MetadataConfig",
    "PipelineConfig",
    "Problem",
    "Reading",
    "ResourcesConfig",
    "ScheduleConfig",
    "StepConfig",
    "VertexConfig",
    "closest",
    "coerced",
    "did_you_mean",
    "follows_from",
    "load",
    "problems_from_pydantic",
    "read",
]
