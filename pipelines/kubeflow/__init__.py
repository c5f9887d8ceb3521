"""Kubeflow Pipelines and Vertex AI: a checked config → KFP's intermediate representation, and a step in its container.

Light to import; :func:`compile_pipeline` imports TFX.
"""

from penstock.pipelines.kubeflow.compile import compile_pipeline
from penstock.pipelines.kubeflow.compiled import Compiled
from penstock.pipelines.kubeflow.parameters import Parameter

__all__ = ["Compiled", "Parameter", "compile_pipeline"]
