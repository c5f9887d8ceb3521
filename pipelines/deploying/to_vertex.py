"""Deploying to Vertex AI Pipelines."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from penstock.errors import ConfigError
from penstock.pipelines.deploying.request import Deployed, Request
from penstock.pipelines.deploying.vertex import Vertex, pipeline_job
from penstock.pipelines.deploying.vertex_run import VertexRun, schedule, submit

if TYPE_CHECKING:
    from penstock.pipelines.config import KubeflowConfig


def deploy_to_vertex(request: Request, say: Callable[[str], None]) -> Deployed:
    """Compile a pipeline, and run or schedule it. Credentials are looked for when it is submitted, not before.

    Args:
        request: What to deploy.
        say: Prints a line.

    Raises:
        PenstockError: The pipeline, the credentials or Vertex AI are at fault.
    """
    vertex, key = _place(request.settings)
    say(f"compiling {request.pipeline} for {vertex.host}")
    pipeline = request.compile()
    for note in pipeline.notes:
        say(f"  note: {note}")
    parameters = pipeline.check_parameters(request.parameters)
    when = request.schedule
    job = pipeline_job(vertex, pipeline, request.run_name if when is None else pipeline.name, parameters, key)
    if when is None:
        for line in submit(vertex, job, request.settings):
            say(f"  {line}")
        run = VertexRun(vertex, job, request.steps)
        say(f"run {request.run_name}: {run.page}")
        return Deployed(run, {"pipeline": pipeline.name, "run": run.id, "page": run.page})
    found, paused = schedule(vertex, job, pipeline.name, request.settings, when)
    page = vertex.page(found, "schedules")
    active = "" if when.enabled else ", paused"
    say(f"schedule {pipeline.name}: {when.cron} {when.timezone or 'UTC'}{active}: {page}")
    if paused:
        say(f"  {paused} earlier schedule{'s' if paused > 1 else ''} of this pipeline paused")
    return Deployed(None, {"pipeline": pipeline.name, "schedule": found, "paused": paused, "page": page})


def _place(settings: KubeflowConfig) -> tuple[Vertex, str | None]:
    where = settings.vertex
    if where is None:
        raise ConfigError(
            "the config does not say where on Vertex AI",
            expected="kubeflow: {vertex: {project: PROJECT, region: REGION}}",
            hint="add it, or --set 'kubeflow.vertex={project: PROJECT, region: REGION}'",
        )
    return Vertex(where.project, where.region), where.encryption_key
