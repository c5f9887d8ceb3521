"""Rules about how the Trainer begins, and where its processes run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from penstock.components.trainer.cluster_options import KubernetesLauncher
from penstock.components.trainer.options import LATEST_BLESSED
from penstock.pipelines.config import Document, Problem
from penstock.pipelines.graph import Graph


def warm_start_has_a_model(graph: Graph, document: Document) -> Iterator[Problem]:
    """Without the wire a model would begin with new weights and nobody would notice."""
    for step in graph.of_type("Trainer"):
        start = getattr(step.config, "warm_start", None)
        if start is None:
            continue
        place = ("steps", step.name, "with", "warm_start", "from")
        if start.source == LATEST_BLESSED:
            if not step.inputs.get("base_model"):
                yield document.problem(
                    place,
                    f"step '{step.name}' starts from the latest blessed model, and no step looks it up",
                    received=LATEST_BLESSED,
                    hint="add the step  baseline: {component: Resolver, with: {strategy: latest_blessed}}  and under "
                    f"'{step.name}' write  inputs: {{base_model: baseline.model}}",
                )
        elif not Path(document.resolve(start.source)).is_file():
            yield document.problem(
                place,
                f"the model that step '{step.name}' starts from is not there",
                received=document.resolve(start.source),
                expected=f"a .keras file on this machine, or {LATEST_BLESSED}",
            )


def jobs_have_an_image(graph: Graph, document: Document) -> Iterator[Problem]:
    """A step that runs in no image itself cannot tell its pods theirs; it would fail after all that is before it."""
    for step, options in _jobs(graph):
        if options.image is None and document.value(("kubeflow",)) is None:
            yield document.problem(
                ("steps", step, "with", "cluster"),
                f"step '{step}' starts a training job on Kubernetes, and nothing says which image its pods run",
                key=True,
                expected="image: an image with Penstock and the project's modules",
                hint="build one (penstock image FILE) and write its name under cluster; only a step that runs on "
                "Kubeflow itself may leave it out",
            )


def steps_see_their_jobs_folder(graph: Graph, document: Document) -> Iterator[Problem]:
    """On Kubeflow the step is a pod too, and mounts what the pipeline's block names alone."""
    if document.value(("kubeflow",)) is None:
        return
    volumes = document.value(("kubeflow", "volumes"))
    listed = volumes if isinstance(volumes, list) else []
    mounted = [str(volume.get("path")) for volume in listed if isinstance(volume, dict)]
    for step, options in _jobs(graph):
        if not any(PurePosixPath(options.shared).is_relative_to(path) for path in mounted):
            (holder, *_) = [v for v in options.volumes if PurePosixPath(options.shared).is_relative_to(v.path)]
            yield document.problem(
                ("steps", step, "with", "cluster", "shared"),
                f"step '{step}' and the pods of its training job share {options.shared}, which the step does not mount",
                received=f"kubeflow.volumes at {', '.join(mounted)}" if mounted else "no kubeflow.volumes",
                expected="the same claim at the same path in both",
                hint=f"write kubeflow: {{volumes: [{{claim: {holder.claim}, path: {holder.path}}}]}}",
            )


def _jobs(graph: Graph) -> Iterator[tuple[str, KubernetesLauncher]]:
    for step in graph.of_type("Trainer"):
        options = getattr(step.config, "cluster", None)
        if isinstance(options, KubernetesLauncher):
            yield step.name, options
