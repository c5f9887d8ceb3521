"""A training job on the cluster: made, watched until it ends, and removed however that happens."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from penstock.components.trainer.cluster.failures import Failure, root_cause
from penstock.components.trainer.cluster.reporting import Report
from penstock.components.trainer.cluster.topology import Task
from penstock.components.trainer.kubernetes.connection import Connection
from penstock.components.trainer.kubernetes.failures import failure_of, no_cause
from penstock.components.trainer.kubernetes.logs import PodLog
from penstock.components.trainer.kubernetes.manifest import GROUP, JOB_LABEL, PLURAL, VERSION
from penstock.components.trainer.kubernetes.patience import Patience
from penstock.components.trainer.kubernetes.pods import PodState, pod_states
from penstock.components.trainer.kubernetes.refusals import Missing, Taken, Unreachable
from penstock.errors import EnvironmentProblem, PenstockError

_GONE_SECONDS = 120.0


class TrainingJob:
    """One training job; leaving the context removes it.

    Args:
        connection: The cluster's API.
        manifest: The job.
        errors: Folder in which tasks say why they failed.
        report: Told what the tasks report, and what becomes of them.
        patience: How long things may take.
        max_restarts: How often a pod may start again, a count.
    """

    def __init__(
        self,
        connection: Connection,
        manifest: Mapping[str, Any],
        *,
        errors: Path,
        report: Report,
        patience: Patience,
        max_restarts: int = 0,
    ) -> None:
        from kubernetes.client import CoreV1Api, CustomObjectsApi

        self._connection = connection
        self._manifest = manifest
        self._errors = errors
        self._report = report
        self._patience = patience
        self._max_restarts = max_restarts
        self._jobs = CustomObjectsApi(connection.client)
        self._core = CoreV1Api(connection.client)
        self._logs: dict[str, PodLog] = {}
        self._uids: dict[Task, list[str]] = {}
        self._told: dict[Task, str] = {}
        self._pods: list[PodState] = []

    @property
    def name(self) -> str:
        """The job's name."""
        return str(self._manifest["metadata"]["name"])

    @property
    def place(self) -> str:
        """The job, as kubectl names it."""
        return f"tfjob/{self.name} in namespace {self._connection.namespace}"

    def __enter__(self) -> Self:
        create = self._jobs.create_namespaced_custom_object
        address = (GROUP, VERSION, self._connection.namespace, PLURAL)
        try:
            self._connection.call("create the training job", create, *address, dict(self._manifest))
        except Missing as error:
            raise EnvironmentProblem(
                "the cluster knows no TFJob",
                where=self._connection.host,
                received=error.received,
                expected=f"the resource {PLURAL}.{GROUP}/{VERSION}, and the namespace {self._connection.namespace}",
                hint="install Kubeflow's training operator (v1), or correct cluster.namespace",
            ) from error
        except Taken as error:
            raise EnvironmentProblem(
                "another step has just started the same training", where=self.place, hint="wait for it, or end it"
            ) from error
        return self

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        self._finish_logs(self._patience.logs if error is None or isinstance(error, PenstockError) else 0.0)
        try:
            self.remove()
        except PenstockError as problem:
            self._report(
                Task("chief", 0),
                "note",
                f"{self.place} is still there ({problem.what}); the cluster removes it with its owner or when its time "
                f"to live is over; by hand: kubectl delete tfjob {self.name} -n {self._connection.namespace}",
            )

    def remove(self) -> None:
        """Remove the job and its pods, if it is there.

        Raises:
            PenstockError: The API refuses, or does not answer.
        """
        delete = self._jobs.delete_namespaced_custom_object
        address = (GROUP, VERSION, self._connection.namespace, PLURAL, self.name)
        try:
            self._connection.call("remove the training job", delete, *address, propagation_policy="Foreground")
        except Missing:
            return

    def exists(self) -> bool:
        """Whether there is a job of this name.

        Raises:
            PenstockError: The API refuses, or does not answer.
        """
        try:
            self._get()
        except Missing:
            return False
        return True

    def wait_until_removed(self) -> None:
        """Wait until a job of this name is gone, pods included.

        Raises:
            EnvironmentProblem: It is still there after two minutes.
        """
        deadline = time.monotonic() + _GONE_SECONDS
        while self.exists():
            if time.monotonic() > deadline:
                raise EnvironmentProblem(
                    "the training job of an earlier attempt does not go away",
                    where=self.place,
                    hint=f"kubectl describe tfjob {self.name} -n {self._connection.namespace} tells what holds it",
                )
            time.sleep(self._patience.look)

    def wait(self) -> None:
        """Watch the job until it has ended well.

        Raises:
            PenstockError: It failed, a pod never starts or starts too often, somebody removed the job, or the API is
                silent for too long.
        """
        began = heard = time.monotonic()
        running = False
        while True:
            try:
                job = self._get()
                self._look_at_pods()
            except Missing as error:
                raise EnvironmentProblem(
                    "somebody removed the training job while it ran", where=self.place, hint="run the pipeline again"
                ) from error
            except Unreachable as error:
                self._bear(error, heard)
                time.sleep(self._patience.look)
                continue
            heard = time.monotonic()
            if self._ended(job):
                return
            running = running or (bool(self._pods) and all(pod.started for pod in self._pods))
            self._require_start(began, running=running)
            time.sleep(self._patience.look)

    def _get(self) -> dict[str, Any]:
        get = self._jobs.get_namespaced_custom_object
        address = (GROUP, VERSION, self._connection.namespace, PLURAL, self.name)
        job: dict[str, Any] = self._connection.call("look at the training job", get, *address)
        return job

    def _bear(self, error: Unreachable, heard: float) -> None:
        silent = time.monotonic() - heard
        if silent < self._patience.silence:
            self._tell(Task("chief", 0), f"{error.what}; the job goes on, and this step waits")
            return
        error.what = f"the Kubernetes API has not answered for {silent:.0f} s while the training job ran"
        error.hint = (
            f"the job may still train; look with: kubectl get tfjob {self.name} -n {self._connection.namespace}"
        )
        raise error

    def _look_at_pods(self) -> None:
        pods = self._connection.call(
            "list the job's pods",
            self._core.list_namespaced_pod,
            self._connection.namespace,
            label_selector=f"{JOB_LABEL}={self.name}",
        )
        self._pods = pod_states(pods.items)
        for pod in self._pods:
            self._read_log(pod)
            self._notice(pod)

    def _read_log(self, pod: PodState) -> None:
        for before in self._uids.get(pod.task, ()):
            if before != pod.uid and before in self._logs:
                self._logs[before].abandon()
        if pod.uid in self._logs:
            self._logs[pod.uid].go_on()
        elif pod.started:
            self._logs[pod.uid] = PodLog(self._connection, pod.task, pod.name, self._report)

    def _finish_logs(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        for log in self._logs.values():
            log.finish(max(0.0, deadline - time.monotonic()))

    def _notice(self, pod: PodState) -> None:
        known = self._uids.setdefault(pod.task, [])
        if pod.uid not in known:
            known.append(pod.uid)
        restarts = len(known) - 1 + pod.restarts
        if restarts > self._max_restarts:
            raise self._too_often(pod, restarts)
        if pod.ending:
            self._tell(pod.task, pod.ending)
        elif pod.waiting:
            self._tell(pod.task, f"waits: {pod.waiting}")
        elif restarts and pod.started:
            self._tell(pod.task, f"runs again, restart {restarts} of {self._max_restarts}")
        if pod.hopeless:
            raise EnvironmentProblem(
                f"the pod of {pod.task} cannot start",
                where=f"{self.place}, pod {pod.name}",
                received=pod.waiting,
                hint=f"correct it under cluster:, or look with: kubectl describe pod {pod.name} "
                f"-n {self._connection.namespace}",
            )

    def _tell(self, task: Task, text: str) -> None:
        if self._told.get(task) != text:
            self._told[task] = text
            self._report(task, "note", text)

    def _require_start(self, began: float, *, running: bool) -> None:
        if running or time.monotonic() - began < self._patience.start:
            return
        late = [pod for pod in self._pods if not pod.started]
        reasons = "; ".join(f"{pod.task}: {pod.waiting or pod.phase}" for pod in late)
        raise EnvironmentProblem(
            f"the training job has not started within {self._patience.start:g} s",
            where=self.place,
            received=reasons or "no pods: the training operator does not act on the job",
            expected="all pods running",
            hint="ask for less under cluster.resources, wait longer with cluster.start_timeout, or see that the "
            "training operator runs",
        )

    def _ended(self, job: Mapping[str, Any]) -> bool:
        """Return whether the job has ended well.

        Raises:
            PenstockError: It failed.
        """
        conditions = {item.get("type"): item for item in (job.get("status") or {}).get("conditions") or ()}
        true = {name for name, item in conditions.items() if item.get("status") == "True"}
        if "Failed" in true:
            raise self._failure(str(conditions["Failed"].get("message") or "no message"))
        return "Succeeded" in true

    def _failure(self, message: str) -> PenstockError:
        self._finish_logs(self._patience.logs)
        found = [failure for pod in self._pods if (failure := self._why(pod)) is not None]
        if not found:
            return no_cause(self.place, message)
        error = root_cause(found).error
        if self._max_restarts == 0 and root_cause(found).retriable:
            error.hint = f"{error.hint}; max_restarts lets pods that died go on from the last checkpoint"
        return error

    def _too_often(self, pod: PodState, restarts: int) -> PenstockError:
        failure = self._why(pod)
        if failure is not None and not failure.retriable:
            return failure.error
        return EnvironmentProblem(
            f"{pod.task} started {restarts + 1} times",
            where=self.place,
            received=self._told.get(pod.task) or "no reason is known",
            expected=f"at most {self._max_restarts} restarts",
            hint=f"see the log; max_restarts: {self._max_restarts} was not enough",
        )

    def _why(self, pod: PodState) -> Failure | None:
        log = self._logs.get(pod.uid)
        return failure_of(pod, self._errors, log.last_lines() if log else [], self.place)
