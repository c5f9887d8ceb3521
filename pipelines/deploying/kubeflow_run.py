"""One run on a Kubeflow Pipelines server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from penstock.pipelines.deploying.client import Server
from penstock.pipelines.deploying.tasks import Progress, progress_of

_LOG_CHARACTERS = 20_000


class KubeflowRun:
    """Answers what :func:`penstock.pipelines.deploying.follow.follow` asks about a run.

    Args:
        server: The server.
        run: The run's id.
        steps: Task name in the compiled pipeline → step name; when None, they are read from the run's version.

    Attributes:
        later: What the user types to follow the run later.
        stop: And what to stop it.
        page: The address of its page.
    """

    def __init__(self, server: Server, run: str, steps: Mapping[str, str] | None = None) -> None:
        self.later = f"penstock runs follow {run} {server.access.options()}"
        self.stop = f"penstock runs stop {run} {server.access.options()}"
        self.page = server.access.run_page(run)
        self._server = server
        self._run = run
        self._steps = steps

    @property
    def steps(self) -> Mapping[str, str]:
        """Task name → step name, in an order in which they can run."""
        if self._steps is None:
            self._steps = task_names(self._spec())
        return self._steps

    def look(self) -> tuple[str, Mapping[str, Progress], str | None]:
        """Return the run's state, each step's progress, and the API's words on a failure."""
        run = self._get()
        tasks = run.run_details.task_details if run.run_details else None
        return run.state or "PENDING", progress_of(tasks or (), self.steps), _words(run)

    def log(self, pod: str) -> str | None:
        """Return the end of a pod's log, where the server hands it out: KFP's pages and its API have a path each."""
        namespace = {"podnamespace": self._server.access.namespace} if self._server.access.namespace else {}
        for path, query in (
            ("/k8s/pod/logs", {"podname": pod, "runid": self._run, **namespace}),
            (f"/apis/v1alpha1/runs/{self._run}/nodes/{pod}/log", {}),
        ):
            text = self._server.text(path, **query)
            if text and not _is_no_log(text):
                return self._server.access.hide(text[-_LOG_CHARACTERS:])
        return None

    def _get(self) -> Any:
        return self._server.ask("tell about the run", self._server.client.get_run, self._run)

    def _spec(self) -> Mapping[str, Any]:
        run = self._get()
        if run.pipeline_spec:
            return dict(run.pipeline_spec)
        version = run.pipeline_version_reference
        if version is None or not version.pipeline_version_id:
            return {}
        found = self._server.ask(
            "show the run's pipeline",
            self._server.client.get_pipeline_version,
            version.pipeline_id,
            version.pipeline_version_id,
        )
        return dict(found.pipeline_spec or {})


def task_names(spec: Mapping[str, Any], order: Sequence[str] = ()) -> dict[str, str]:
    """Return the task names of a compiled pipeline in an order in which they can run, each with its step's name.

    Args:
        spec: KFP's ``PipelineSpec``, or a mapping that has it under ``pipeline_spec`` beside a platform's settings.
        order: The steps in the config's order, where it is known; others come after them.
    """
    spec = spec.get("pipeline_spec", spec)
    found = list(_tasks(spec.get("root", {}).get("dag", {}).get("tasks", {}), spec.get("components", {})))
    place = {step: index for index, step in enumerate(order)}
    return dict(sorted(found, key=lambda task: place.get(task[1], len(place))))


def _tasks(tasks: Mapping[str, Any], components: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    left = dict(tasks)
    while left:
        ready = [name for name, task in left.items() if not left.keys() & set(task.get("dependentTasks", ()))]
        for name in ready or list(left):
            task = left.pop(name)
            inner = components.get(task.get("componentRef", {}).get("name"), {}).get("dag")
            if inner:
                yield from _tasks(inner.get("tasks", {}), components)
            else:
                yield name, task.get("taskInfo", {}).get("name", name)


def _words(run: Any) -> str | None:
    errors = [run.error, *(state.error for state in reversed(run.state_history or ()))]
    return next((error.message.strip() for error in errors if error is not None and error.message), None)


def _is_no_log(text: str) -> bool:
    """Return whether it is a page of the user interface, or an error that the API writes where the log would be."""
    start = text.lstrip()[:200].lower()
    return start.startswith(("<!doctype", "<html")) or '"error_message"' in start or '"error"' in start[:20]
