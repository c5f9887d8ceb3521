"""Trains in a training job on Kubernetes."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import NoReturn

from penstock.components.trainer.cluster.reporting import Report, relay
from penstock.components.trainer.cluster_options import KubernetesLauncher
from penstock.components.trainer.kubernetes import heartbeat
from penstock.components.trainer.kubernetes.connection import connect, own_image
from penstock.components.trainer.kubernetes.job import TrainingJob
from penstock.components.trainer.kubernetes.manifest import JobRequest, training_job
from penstock.components.trainer.kubernetes.patience import Patience
from penstock.components.trainer.kubernetes.shared import fetch, job_folder, read_result, staged
from penstock.components.trainer.launch import fixed_variables
from penstock.components.trainer.request import TrainRequest, TrainResult, to_json
from penstock.components.trainer.strategy_options import MultiWorkerMirroredStrategy, ParameterServerStrategy
from penstock.errors import EnvironmentProblem
from penstock.reporting import note

_MODULE = "penstock.components.trainer.kubernetes.pod"


def train_on_kubernetes(
    request: TrainRequest,
    options: KubernetesLauncher,
    strategy: MultiWorkerMirroredStrategy | ParameterServerStrategy,
    *,
    environ: Mapping[str, str] = os.environ,
    report: Report = relay,
    patience: Patience | None = None,
) -> TrainResult:
    """Create a training job, wait for it, and bring its model here.

    However this function is left, the job is removed; where this process has no chance to, the job goes with the pod
    that owns it, ends when nobody counts its heartbeat up any more, and is removed after its time to live.

    Raises:
        ConfigError: The cluster refuses the job, there is no image, or no way to a cluster.
        EnvironmentProblem: The API cannot be reached, a pod does not start, or a task died.
        PenstockError: What the task that failed first said.
    """
    patience = patience or Patience(start=float(options.start_timeout))
    connection = connect(options, environ)
    name = job_name(request)
    folder = job_folder(options, name)
    manifest = training_job(
        JobRequest(
            name=name,
            namespace=connection.namespace,
            image=options.image or own_image(connection),
            command=("python", "-m", _MODULE, str(folder)),
            environment=fixed_variables(request),
            owner=connection.owner,
            max_restarts=request.config.max_restarts,
        ),
        options,
        strategy,
    )
    job = TrainingJob(
        connection,
        manifest,
        errors=folder / "errors",
        report=report,
        patience=patience,
        max_restarts=request.config.max_restarts,
    )
    with _ended_in_order():
        _remove_predecessor(job, folder, patience.beat)
        with staged(request, options, name) as laid, heartbeat.beating(folder, patience.beat):
            with job:
                note(f"training job {job.place}: {', '.join(manifest['spec']['tfReplicaSpecs'])}")
                job.wait()
            result = read_result(laid, patience.files)
            fetch(laid)
            return result


def job_name(request: TrainRequest) -> str:
    """Return the name of a training's job.

    Two attempts at the same training share it, so that the second one finds what the first has left: the folder of its
    checkpoints is called after parameters, code and inputs, wherever an attempt has its outputs.
    """
    told = request.checkpoints.name if request.checkpoints else to_json(request)
    return f"penstock-{sha256(told.encode()).hexdigest()[:12]}"


def _remove_predecessor(job: TrainingJob, folder: Path, beat: float) -> None:
    """Remove the job of an attempt that was ended by force.

    Raises:
        EnvironmentProblem: Its step still runs.
    """
    if not job.exists():
        return
    if heartbeat.is_beating(folder, beat):
        raise EnvironmentProblem(
            "another step is running the same training",
            where=job.place,
            received=f"a heartbeat in {folder}",
            expected="one step at a time: both would write the same checkpoints",
            hint="wait for it, or end it",
        )
    note(f"removing {job.place}, which an earlier attempt left")
    job.remove()
    job.wait_until_removed()


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Let SIGTERM, by which Kubernetes ends a pod, end the step as an exception does, where nobody else minds it."""
    unminded = (
        threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    )
    if not unminded:
        yield
        return
    signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _end(_number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + signal.SIGTERM)
