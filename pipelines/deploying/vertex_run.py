"""Runs and schedules on Vertex AI Pipelines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import TYPE_CHECKING, Any

from penstock.errors import ConfigError, EnvironmentProblem
from penstock.pipelines.deploying.answers import NoAnswer
from penstock.pipelines.deploying.kubeflow_run import task_names
from penstock.pipelines.deploying.submit import utc
from penstock.pipelines.deploying.tasks import Phase, Progress
from penstock.pipelines.deploying.vertex import SECONDS, Vertex

if TYPE_CHECKING:
    from penstock.pipelines.config import KubeflowConfig, ScheduleConfig

_STATE = "PIPELINE_STATE_"
_WORDS = {"CANCELLED": "CANCELED", "CANCELLING": "CANCELING", "QUEUED": "PENDING"}
_PHASES: dict[str, Phase] = {
    "PENDING": "pending",
    "RUNNING": "running",
    "SUCCEEDED": "ran",
    "CANCEL_PENDING": "running",
    "CANCELLING": "running",
    "CANCELLED": "stopped",
    "FAILED": "failed",
    "SKIPPED": "cached",
}


class VertexRun:
    """One run, for :func:`penstock.pipelines.deploying.follow.follow`.

    Args:
        vertex: Where.
        job: The SDK's ``PipelineJob``, submitted.
        order: The steps in the config's order, where it is known.

    Attributes:
        later: What the user types to follow the run later.
        stop: And what to stop it.
        page: The address of its page.
        steps: Task name → step name.
    """

    def __init__(self, vertex: Vertex, job: Any, order: Sequence[str] = ()) -> None:
        name = job.resource_name.rpartition("/")[2]
        self.later = f"penstock runs follow {name} --host {vertex.host}"
        self.stop = f"penstock runs stop {name} --host {vertex.host}"
        self.page = vertex.page(name)
        self.id = name
        self.steps = task_names(job.to_dict().get("pipelineSpec", {}), order)
        self._vertex = vertex
        self._job = job

    def look(self) -> tuple[str, Mapping[str, Progress], str | None]:
        """Return the run's state, each step's progress, and the API's words on a failure."""
        with self._vertex.told("tell about the run"):
            state = self._job.state.name.removeprefix(_STATE)
            found = self._job.gca_resource
        tasks = {task.task_name: task for task in found.job_detail.task_details}
        steps = {step: _progress(tasks.get(task), step) for task, step in self.steps.items()}
        return _WORDS.get(state, state), steps, found.error.message or None

    def log(self, pod: str) -> str | None:  # noqa: ARG002  Vertex AI hands out no logs here; Cloud Logging has them.
        """Return None: the logs are in Cloud Logging."""
        return None


def submit(vertex: Vertex, job: Any, settings: KubeflowConfig) -> list[str]:
    """Start a run; return what the SDK only logs as errors, such as a bucket that it could not look at.

    Raises:
        PenstockError: Vertex AI refuses it or cannot be asked.
    """
    try:
        with vertex.told("start the run") as logged:
            job.submit(
                service_account=settings.service_account, network=_network(settings), create_request_timeout=SECONDS
            )
    except NoAnswer as error:
        raise EnvironmentProblem(
            "whether the run was started is not known: Vertex AI did not answer",
            where=vertex.host,
            received=error.received,
            hint=f"look first, then deploy again: penstock runs list --host {vertex.host}",
        ) from error
    return logged


def schedule(vertex: Vertex, job: Any, name: str, settings: KubeflowConfig, when: ScheduleConfig) -> tuple[str, int]:
    """Make a schedule; active ones with its name are paused.

    Args:
        vertex: Where.
        job: The SDK's ``PipelineJob``, not submitted.
        name: The schedule's name.
        settings: The config's ``kubeflow`` block.
        when: Its schedule.

    Returns:
        Its id, and how many were paused.

    Raises:
        PenstockError: Vertex AI refuses it or cannot be asked.
    """
    with vertex.told("make the schedule"):
        from google.cloud.aiplatform import PipelineJobSchedule

        before = _active(PipelineJobSchedule, vertex, name)
        made = PipelineJobSchedule(pipeline_job=job, display_name=name, **vertex.place())
        made.create(
            cron=f"TZ={when.timezone} {when.cron}" if when.timezone else when.cron,
            start_time=utc(when.start),
            end_time=utc(when.end),
            allow_queueing=when.catch_up,
            max_concurrent_run_count=when.max_concurrent,
            service_account=settings.service_account,
            network=_network(settings),
            create_request_timeout=SECONDS,
        )
        for old in [*before, *([] if when.enabled else [made])]:
            old.pause()
    return made.resource_name.rpartition("/")[2], len(before)


def newest(vertex: Vertex, limit: int) -> list[dict[str, Any]]:
    """Return the newest runs, as :func:`penstock.pipelines.deploying.runs.newest` does."""
    with vertex.told("list runs"):
        from google.cloud.aiplatform import PipelineJob

        jobs = PipelineJob.list(order_by="create_time desc", enable_simple_view=True, **vertex.place())
        return [_row(vertex, job) for job in jobs[:limit]]


def find(vertex: Vertex, run: str) -> VertexRun:
    """Return a run by its id or its exact name; of several runs of a name, the newest.

    Raises:
        ConfigError: There is none.
    """
    place = vertex.place()
    with vertex.told("tell about the run"):
        from google.api_core.exceptions import NotFound
        from google.cloud.aiplatform import PipelineJob

        named = [] if '"' in run else PipelineJob.list(filter=f'display_name="{run}"', **place)
        name = max(named, key=lambda job: job.create_time).resource_name if named else run
        try:
            return VertexRun(vertex, PipelineJob.get(name, **place))
        except (NotFound, ValueError) as error:  # The SDK's word for a name that can be no id.
            raise ConfigError(
                f"there is no run {run!r}", where=vertex.host, hint=f"see: penstock runs list --host {vertex.host}"
            ) from error


def stop(vertex: Vertex, run: VertexRun) -> None:
    """Tell Vertex AI to stop a run.

    Raises:
        PenstockError: It has ended, or Vertex AI cannot be asked.
    """
    with vertex.told("stop the run"):
        run._job.cancel()  # noqa: SLF001  The two belong together.


def _progress(task: Any, step: str) -> Progress:
    if task is None:
        return Progress(step)
    phase = _PHASES.get(task.state.name, "waiting")
    started, ended = task.start_time, task.end_time
    seconds = (ended - started).total_seconds() if started and ended else 0.0
    return Progress(step, phase, max(0.0, seconds), task.error.message or None)


def _active(schedules: Any, vertex: Vertex, name: str) -> list[Any]:
    if '"' in name:
        return []
    found: Sequence[Any] = schedules.list(filter=f'display_name="{name}"', **vertex.place())
    return [one for one in found if one.state.name == "ACTIVE"]


def _row(vertex: Vertex, job: Any) -> dict[str, Any]:
    found = job.gca_resource
    name = found.name.rpartition("/")[2]
    begun, ended = found.create_time, found.end_time
    state = found.state.name.removeprefix(_STATE)
    return {
        "run": name,
        "name": found.display_name,
        "state": _WORDS.get(state, state).lower(),
        "started": begun.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") if begun else "",
        "seconds": (ended - begun).total_seconds() if begun and ended else None,
        "page": vertex.page(name),
    }


def _network(settings: KubeflowConfig) -> str | None:
    return settings.vertex.network if settings.vertex else None
