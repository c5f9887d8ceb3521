"""A pipeline file, loaded and checked for a subcommand."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.errors import EnvironmentProblem

if TYPE_CHECKING:
    from penstock.pipelines.config import Loaded
    from penstock.pipelines.graph import Graph

_NO_PLUGINS = "PYDANTIC_DISABLE_PLUGINS"


def checked(file: Path, overrides: Sequence[str] | None) -> tuple[Loaded, Graph]:
    """Load and check a pipeline file, without pydantic's search for plugins.

    The search reads the metadata of every installed package, 15 to 30 ms of the half second that validating may take.
    Steps and their user code run in other processes, which have the environment as it was.

    Raises:
        ConfigProblems: All that is wrong.
    """
    before = os.environ.get(_NO_PLUGINS)
    os.environ[_NO_PLUGINS] = "__all__"
    try:
        from penstock.pipelines.resolve import check

        return check(file, overrides or ())
    finally:
        del os.environ[_NO_PLUGINS]
        if before is not None:
            os.environ[_NO_PLUGINS] = before


def refuse_other_tasks(environ: Mapping[str, str]) -> None:
    """Refuse a pipeline's run in a process that is one task of a cluster and not its chief.

    Each task would run the whole pipeline, in one root and at the same time.

    Raises:
        EnvironmentProblem: This process is such a task, or ``TF_CONFIG`` describes no cluster.
    """
    if not {"TF_CONFIG", "CLUSTER_SPEC"} & environ.keys():
        return
    from penstock.components.trainer.cluster.environment import from_environment

    place = from_environment(environ)
    if place is None or place[0].is_chief(place[1]):
        return
    cluster, task = place
    raise EnvironmentProblem(
        f"this process is {task} of a cluster, and a pipeline is run once, by the chief",
        received=f"a cluster of {cluster}",
        expected=f"{cluster.chief}, or a process without TF_CONFIG and CLUSTER_SPEC",
        hint="run the pipeline where the chief is; the other tasks execute the Trainer's step alone",
    )


def refuse_remote_root(loaded: Loaded) -> None:
    """Refuse a root behind a URL: steps that run here lock it, log to it and keep the metadata in it.

    Raises:
        ConfigProblems: The root is a URL.
    """
    from penstock.pipelines.config import ConfigProblems

    if "://" in loaded.root:
        document = loaded.document
        elsewhere = loaded.config.kubeflow is not None
        problem = document.problem(
            ("root",),
            "a run on this machine needs a root on this machine",
            received=loaded.root,
            expected="a folder, absolute or relative to the project",
            hint="this config is for a cluster: `penstock compile` it, or run the file that it extends"
            if elsewhere
            else "add --set root=runs/here; artifacts behind a URL are for pipelines that run elsewhere",
        )
        raise ConfigProblems([problem], document.file)
