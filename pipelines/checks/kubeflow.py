"""Rules about what cannot run on Kubeflow Pipelines or Vertex AI. A config without a ``kubeflow`` block passes."""

from __future__ import annotations

import re
import sysconfig
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path

from penstock.errors import ConfigError
from penstock.pipelines.checks.functions import place_of
from penstock.pipelines.config import Document, KubeflowConfig, Problem
from penstock.pipelines.engines.names import engine_of
from penstock.pipelines.graph import Graph, Step
from penstock.pipelines.resolver import ResolverConfig
from penstock.pipelines.static_import import locate
from penstock.pipelines.values import check_function

_PROGRAMS = {"kubeflow": "Kubeflow Pipelines", "vertex": "Vertex AI"}
_STORES = {"kubeflow": ("minio://", "s3://", "gs://"), "vertex": ("gs://",)}
_ONLY_KUBERNETES = (
    "host",
    "namespace",
    "secrets",
    "volumes",
    "node_selector",
    "image_pull_policy",
    "image_pull_secrets",
)
_PROCESSES = ("multi_worker_mirrored", "parameter_server")
_SECRET = re.compile(r"(?i)(passw|secret|token|credential|private_?key|api_?key|access_?key)")

_Rule = Callable[[Graph, Document, KubeflowConfig], Iterator[Problem]]


def _on_cluster(rule: _Rule) -> Callable[[Graph, Document], Iterator[Problem]]:
    """Let a rule judge the configs alone that say how they run on a cluster."""

    @wraps(rule)
    def judged(graph: Graph, document: Document) -> Iterator[Problem]:
        if graph.kubeflow is not None:
            yield from rule(graph, document, graph.kubeflow)

    return judged


@_on_cluster
def root_is_in_a_store(graph: Graph, document: Document, settings: KubeflowConfig) -> Iterator[Problem]:
    """Every step runs on another machine: what they share lies in an object store."""
    stores = _STORES[settings.target]
    if not graph.root.startswith(stores):
        yield document.problem(
            ("root",),
            f"the steps on {_PROGRAMS[settings.target]} cannot see the root",
            received=graph.root,
            expected=f"a URL of an object store: {' or '.join(f'{store}BUCKET/PATH' for store in stores)}",
        )
    elif not graph.root.partition("://")[2].strip("/"):
        yield document.problem(
            ("root",), "the root names no bucket", received=graph.root, expected=f"{stores[0]}BUCKET/PATH"
        )


@_on_cluster
def target_knows_the_settings(graph: Graph, document: Document, settings: KubeflowConfig) -> Iterator[Problem]:  # noqa: ARG001
    """Vertex AI has no Kubernetes objects, and Kubeflow's schedules no time zone."""
    if settings.target == "vertex":
        for name in sorted(settings.model_fields_set & frozenset(_ONLY_KUBERNETES)):
            yield document.problem(
                ("kubeflow", name),
                f"Vertex AI has no '{name}'",
                key=True,
                hint="take it out"
                + (", and let the steps read the value from Secret Manager" if name == "secrets" else "")
                + ("; it mounts every bucket below /gcs by itself" if name == "volumes" else ""),
            )
        if settings.vertex is None:
            yield document.problem(
                ("kubeflow",), "target vertex needs to know where", key=True, expected="vertex: {project: …, region: …}"
            )
    elif settings.schedule is not None and settings.schedule.timezone is not None:
        yield document.problem(
            ("kubeflow", "schedule", "timezone"),
            "schedules of Kubeflow Pipelines are in UTC",
            key=True,
            hint="take it out, and write cron in UTC",
        )
    for name in sorted(settings.environment.keys() & settings.secrets.keys()):
        yield document.problem(
            ("kubeflow", "environment", name),
            f"{name} is a secret too",
            key=True,
            hint="take it out of environment or of secrets",
        )


@_on_cluster
def accelerators_are_named_as_there(graph: Graph, document: Document, settings: KubeflowConfig) -> Iterator[Problem]:
    """Kubernetes names a resource, such as nvidia.com/gpu; Vertex AI a model, such as NVIDIA_TESLA_T4."""
    for step in graph.steps.values():
        accelerator = step.resources.accelerator
        if accelerator is not None and ("/" in accelerator.type) != (settings.target == "kubeflow"):
            yield document.problem(
                ("steps", step.name, "resources", "accelerator", "type"),
                f"{_PROGRAMS[settings.target]} knows no accelerator '{accelerator.type}'",
                expected="a resource of a node, such as nvidia.com/gpu"
                if settings.target == "kubeflow"
                else "a type of Vertex AI, such as NVIDIA_TESLA_T4",
            )


@_on_cluster
def steps_can_run_there(graph: Graph, document: Document, settings: KubeflowConfig) -> Iterator[Problem]:
    """Some components need a metadata store, a Docker engine or other processes beside them."""
    program = _PROGRAMS[settings.target]
    for step in graph.steps.values():
        if isinstance(step.config, ResolverConfig):
            yield document.problem(
                ("steps", step.name, "component"),
                f"{program} runs no Resolver: a step there cannot ask for artifacts of earlier runs",
                hint=f"disable it with enabled: false and leave out what is wired to it, such as {_user(graph, step)}",
            )
        if step.type.name.endswith("InfraValidator"):
            yield document.problem(
                ("steps", step.name, "component"),
                f"TFX's InfraValidator starts servers that {program} does not let it start (tfx#5512)",
                hint="take the step out: our Pusher asks the model before it publishes it",
            )


@_on_cluster
def trainer_fits_one_container(graph: Graph, document: Document, settings: KubeflowConfig) -> Iterator[Problem]:
    """A step is one container: it has the devices that the cluster gives it, and no cluster in itself."""
    for step in graph.of_type("Trainer"):
        runtime = getattr(step.config, "runtime", None)
        if "logical_devices" in getattr(runtime, "model_fields_set", ()):
            yield document.problem(
                ("steps", step.name, "with", "runtime", "logical_devices"),
                f"logical devices divide the devices of one machine, and {_PROGRAMS[settings.target]} has real ones",
                key=True,
                hint=f"take it out, and ask for devices: steps.{step.name}.resources: {{accelerator: …}}",
            )
        strategy = getattr(getattr(step.config, "strategy", None), "name", None)
        cluster = getattr(step.config, "cluster", None)
        if strategy in _PROCESSES and getattr(cluster, "launcher", None) != "kubernetes":
            yield document.problem(
                ("steps", step.name, "with", "strategy"),
                f"{strategy} would start its workers as processes of one container",
                expected="cluster: {launcher: kubernetes}, beside strategy, or a strategy of one process",
            )


@_on_cluster
def paths_are_seen_there(graph: Graph, document: Document, settings: KubeflowConfig) -> Iterator[Problem]:
    """A path of this machine is no path of a container: data lies in a volume, or behind a URL."""
    mounts = [f"{volume.path.rstrip('/')}/" for volume in settings.volumes]
    mounts += ["/gcs/"] if settings.target == "vertex" else []
    for step in graph.steps.values():
        for place, path in _paths(step):
            if place[-1] == "module_file":
                yield document.problem(
                    ("steps", step.name, "with", *place),
                    f"the module of step '{step.name}' lies outside the image",
                    expected="the import path of a function in the image, instead of a file",
                )
            elif "://" in path:
                if not path.startswith("gs://"):
                    yield document.problem(
                        ("steps", step.name, "with", *place),
                        "TensorFlow and Beam read no such URL",
                        received=path,
                        expected=f"gs://BUCKET/PATH, or a path below {' or '.join(mounts) or 'a volume'}",
                        hint=None if mounts else _MOUNT_IT,
                    )
            elif not f"{path}/".startswith(tuple(mounts)):
                yield document.problem(
                    ("steps", step.name, "with", *place),
                    f"step '{step.name}' cannot see this path on {_PROGRAMS[settings.target]}",
                    received=path,
                    expected=f"gs://BUCKET/PATH, or a path below {' or '.join(mounts) or 'a volume'}",
                    hint=None if mounts else _MOUNT_IT,
                )


_MOUNT_IT = "mount it: kubeflow: {volumes: [{claim: NAME, path: /data}]}"


@_on_cluster
def beam_workers_see_the_root(graph: Graph, document: Document, settings: KubeflowConfig) -> Iterator[Problem]:  # noqa: ARG001
    """Beam's remote workers read and write the artifacts themselves, without KFP's launcher."""
    remote = engine_of(graph.beam.runner) != "direct"
    if remote and graph.root.startswith("minio://") and any(step.type.beam for step in graph.steps.values()):
        yield document.problem(
            ("root",),
            "Beam's workers cannot see the root: only KFP's launcher reads minio://",
            received=graph.root,
            expected="gs://BUCKET/PATH or s3://BUCKET/PATH, or beam: {runner: direct}",
        )


@_on_cluster
def user_code_is_in_the_image(graph: Graph, document: Document, settings: KubeflowConfig) -> Iterator[Problem]:
    """The image holds the project and installed packages, and nothing else of this machine."""
    for step in graph.steps.values():
        for function in step.functions:
            file = _outside(function, document.project)
            if file is not None:
                yield document.problem(
                    place_of(document, step, function),
                    f"'{function}' lies outside the project, so it is not in the image",
                    received=str(file),
                    expected=f"a module below {document.project}, or an installed package",
                )
    if settings.exit_handler is not None:
        yield from check_function(document, ("kubeflow", "exit_handler"), settings.exit_handler)


@_on_cluster
def secrets_stay_out(graph: Graph, document: Document, settings: KubeflowConfig) -> Iterator[Problem]:  # noqa: ARG001
    """A compiled pipeline is read by everyone who may read pipelines: it names secrets and holds none."""
    for path, names in document.origins():
        secret = sorted(name for name in names if name in settings.secrets or _SECRET.search(name))
        if secret:
            yield document.problem(
                path,
                f"the value of {secret[0]} would be written into the compiled pipeline",
                expected=f"kubeflow: {{secrets: {{{secret[0]}: {{secret: NAME, key: KEY}}}}}}",
                hint="take ${env.…} out here; the step's code finds the value in its environment",
            )


RULES = (
    root_is_in_a_store,
    target_knows_the_settings,
    accelerators_are_named_as_there,
    steps_can_run_there,
    trainer_fits_one_container,
    paths_are_seen_there,
    beam_workers_see_the_root,
    user_code_is_in_the_image,
    secrets_stay_out,
)


def _user(graph: Graph, step: Step) -> str:
    """Return a wire of the step, or what it would be."""
    return next(
        (
            f"steps.{other.name}.inputs.{key}"
            for other in graph.steps.values()
            for key, wires in other.inputs.items()
            if any(wire.step == step.name for wire in wires)
        ),
        f"{step.name}.…",
    )


def _paths(step: Step) -> Iterator[tuple[tuple[str, ...], str]]:
    from penstock.types import fields_with_role

    if step.config is not None:
        yield from fields_with_role(step.config, "path")
    for key, parameter in step.type.parameters.items():
        value = step.parameters.get(key)
        if parameter.type.kind == "path" and isinstance(value, str):
            yield (key,), value


def _outside(function: str, project: Path) -> Path | None:
    """Return the file of a function that lies neither in the project nor in an installed package."""
    try:
        file = locate(function, project).file
    except ConfigError:
        return None  # Another rule says so.
    installed = [Path(sysconfig.get_path(key)) for key in ("stdlib", "platstdlib", "purelib", "platlib")]
    own = Path(__file__).parents[2]
    if file is None or any(file.resolve().is_relative_to(root.resolve()) for root in (project, *installed, own)):
        return None
    return file
