"""The pipeline of a config, compiled in a process of its own: compiling imports TFX and the user's components."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.errors import ConfigError
from penstock.pipelines.config import KubeflowConfig, Loaded

if TYPE_CHECKING:
    from penstock.pipelines.kubeflow import Compiled


def settings_of(loaded: Loaded) -> KubeflowConfig:
    """Return the config's ``kubeflow`` block.

    Raises:
        ConfigError: There is none.
    """
    if loaded.config.kubeflow is None:
        raise ConfigError(
            "the config does not say how it runs on a cluster",
            where=str(loaded.document.file),
            expected="kubeflow: {image: REGISTRY/IMAGE:TAG}",
            hint="add the block, or --set kubeflow.image=REGISTRY/IMAGE:TAG",
        )
    return loaded.config.kubeflow


def compiled(loaded: Loaded) -> Compiled:
    """Compile a config.

    Raises:
        PenstockError: What importing and building the components brought to light.
    """
    from penstock.pipelines.kubeflow import compile_pipeline

    from penstock.pipelines.runners.workers import Workers

    with tempfile.TemporaryDirectory(prefix="penstock-deploy-") as logs:
        workers = Workers(loaded.document.project, Path(logs) / "imports.log")
        found: Compiled = workers.run(compile_pipeline, loaded, log=Path(logs) / "compile.log")
    return found
