"""Deploying to Kubeflow Pipelines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from penstock.pipelines.config import ScheduleConfig
from penstock.pipelines.deploying.access import Access
from penstock.pipelines.deploying.client import Server
from penstock.pipelines.deploying.kubeflow_run import KubeflowRun, task_names
from penstock.pipelines.deploying.publish import Published, publish
from penstock.pipelines.deploying.request import Deployed, Request
from penstock.pipelines.deploying.submit import Order, schedule, submit
from penstock.version import __version__

_OUTCOMES = {
    "new pipeline": "new, uploaded",
    "new version": "new version, uploaded",
    "unchanged": "unchanged, the version that is there is used",
}


def deploy_to_kubeflow(request: Request, say: Callable[[str], None], *, access: Access) -> Deployed:
    """Compile, upload and run or schedule a pipeline.

    The server is asked before anything is compiled: a wrong host or token is told at once.

    Args:
        request: What to deploy.
        say: Prints a line.
        access: Where to.

    Raises:
        PenstockError: The pipeline or the server is at fault.
    """
    server = Server(access)
    say(f"compiling {request.pipeline} for {access.host}")
    pipeline = request.compile()
    for note in pipeline.notes:
        say(f"  note: {note}")
    order = Order(
        name=request.run_name,
        experiment=request.experiment,
        root=pipeline.root,
        parameters=pipeline.check_parameters(request.parameters),
        service_account=request.settings.service_account,
    )
    description = f"penstock {__version__}, {request.file}"
    published = publish(server, pipeline.name, pipeline.to_yaml(), description=description)
    say(f"pipeline {pipeline.name}, version {published.version}: {_OUTCOMES[published.outcome]}")
    if request.schedule is not None:
        return _scheduled(request.schedule, server, published, replace(order, name=pipeline.name), say)
    run_id = submit(server, published, order)
    run = KubeflowRun(server, run_id, task_names(pipeline.spec, request.steps))
    say(f"run {order.name} in experiment {order.experiment}: {run.page}")
    return Deployed(run, {**_facts(pipeline.name, published), "run": run_id, "page": run.page})


def _scheduled(
    when: ScheduleConfig, server: Server, published: Published, order: Order, say: Callable[[str], None]
) -> Deployed:
    found, disabled = schedule(server, published, order, when)
    page = server.access.schedule_page(found)
    active = "" if when.enabled else ", not enabled"
    say(f"schedule {order.name}: {when.cron} UTC{active}: {page}")
    if disabled:
        say(f"  {disabled} earlier schedule{'s' if disabled > 1 else ''} of this pipeline disabled")
    return Deployed(None, {**_facts(order.name, published), "schedule": found, "disabled": disabled, "page": page})


def _facts(name: str, published: Published) -> dict[str, str]:
    return {"pipeline": name, "version": published.version, "published": published.outcome}
