"""A run, or a recurring run, of a published version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from penstock.errors import EnvironmentProblem
from penstock.pipelines.deploying.answers import NoAnswer
from penstock.pipelines.deploying.client import Server
from penstock.pipelines.deploying.publish import Published

if TYPE_CHECKING:
    from penstock.pipelines.config import ScheduleConfig

_MARK = "deployed by penstock"
_PAGE = 100


@dataclass(frozen=True)
class Order:
    """How a version is to be run.

    Attributes:
        name: The run's name.
        experiment: The experiment that it belongs to.
        root: The pipeline root, a URL of an object store.
        parameters: Values of runtime parameters; the others keep their defaults.
        service_account: The account that the steps run as; None for the server's choice.
    """

    name: str
    experiment: str
    root: str
    parameters: Mapping[str, Any]
    service_account: str | None = None


def submit(server: Server, published: Published, order: Order) -> str:
    """Start a run; return its id. The experiment is made where it is not there.

    Raises:
        PenstockError: The server refuses it or cannot be asked.
    """
    try:
        made = server.ask(
            "start the run", server.client.run_pipeline, job_name=order.name, **_how(server, published, order)
        )
    except NoAnswer as error:
        raise EnvironmentProblem(
            "whether the run was started is not known: the server did not answer",
            where=server.access.host,
            received=error.received,
            hint=f"look first, then deploy again: penstock runs list {server.access.options()}",
        ) from error
    return str(made.run_id)


def schedule(server: Server, published: Published, order: Order, when: ScheduleConfig) -> tuple[str, int]:
    """Make a recurring run; those of the same name that an earlier deployment made are disabled.

    Returns:
        Its id, and how many were disabled.

    Raises:
        PenstockError: The server refuses it or cannot be asked.
    """
    how = _how(server, published, order)
    before = list(_recurring(server, how["experiment_id"], order.name))
    made = server.ask(
        "make the schedule",
        server.client.create_recurring_run,
        job_name=order.name,
        description=_MARK,
        cron_expression=f"0 {when.cron}",  # KFP's has a field for the seconds.
        start_time=utc(when.start),
        end_time=utc(when.end),
        max_concurrency=when.max_concurrent,
        no_catchup=not when.catch_up,
        enabled=when.enabled,
        **how,
    )
    for old in before:
        server.ask("disable the schedule before this one", server.client.disable_recurring_run, old)
    return str(made.recurring_run_id), len(before)


def _how(server: Server, published: Published, order: Order) -> dict[str, Any]:
    experiment = server.ask(
        "make the experiment", server.client.create_experiment, order.experiment, namespace=server.access.namespace
    )
    return {
        "experiment_id": experiment.experiment_id,
        "pipeline_id": published.pipeline_id,
        "version_id": published.version_id,
        "params": dict(order.parameters),
        "pipeline_root": order.root,
        "service_account": order.service_account,
    }


def _recurring(server: Server, experiment: str, name: str) -> list[str]:
    found, token = [], ""
    while True:
        answer = server.ask(
            "list the schedules",
            server.client.list_recurring_runs,
            experiment_id=experiment,
            page_token=token,
            page_size=_PAGE,
        )
        found += [
            str(one.recurring_run_id)
            for one in answer.recurring_runs or ()
            if one.display_name == name and one.description == _MARK and one.status != "DISABLED"
        ]
        token = answer.next_page_token or ""
        if not token:
            return found


def utc(time: datetime | None) -> str | None:
    """Return a time as the APIs take it; one without a zone is UTC."""
    if time is None:
        return None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
