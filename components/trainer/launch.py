"""Trains in processes of their own on this machine: a cluster's tasks, or one process with another Keras."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from penstock.components.trainer.cluster.launcher import run_cluster
from penstock.components.trainer.cluster.ports import free_addresses, local_cluster
from penstock.components.trainer.cluster.process import Program
from penstock.components.trainer.cluster.topology import Cluster
from penstock.components.trainer.request import TrainRequest, TrainResult, to_json
from penstock.components.trainer.strategy_options import MultiWorkerMirroredStrategy, ParameterServerStrategy
from penstock.components.trainer.task import REQUEST, RESULT, SEARCH_PATH

_MODULE = "penstock.components.trainer.task"
LEGACY_SWITCH = "TF_USE_LEGACY_KERAS"
_ERRORS_ARE_EXCEPTIONS = {"TF_CPP_MIN_LOG_LEVEL": "3", "GRPC_VERBOSITY": "NONE"}
"""Of TensorFlow's native log nothing is written: ring communication logs an error of no consequence for each tensor of
each step ("Tensor RefCount not reliable"), and what matters comes as an exception. gRPC's level is TensorFlow's too:
any other than NONE would bring the errors back."""
_HERE = "127.0.0.1"
_NO_PROXY = ("no_proxy", "no_grpc_proxy")
"""gRPC asks a proxy for this machine's own addresses too, unless it is told not to (tensorflow#24887)."""


def train_in_cluster(
    request: TrainRequest, strategy: MultiWorkerMirroredStrategy | ParameterServerStrategy
) -> TrainResult:
    """Start a cluster on this machine, train in it, and end it.

    Raises:
        PenstockError: What the task that failed first said, or that it died.
    """
    return _train(request, lambda: local_cluster(strategy))


def train_in_process(request: TrainRequest) -> TrainResult:
    """Train in a process whose ``tf.keras`` is the Keras that the configuration asks for.

    Raises:
        PenstockError: What the process said, or that it died.
    """
    return _train(request, lambda: Cluster({"chief": free_addresses(1)}))


def _train(request: TrainRequest, make_cluster: Callable[[], Cluster]) -> TrainResult:
    with tempfile.TemporaryDirectory(prefix="penstock-training-") as name:
        folder = Path(name)
        if request.checkpoints is None:
            # All tasks need the same folder, and one that outlives those that are killed.
            request = replace(request, checkpoints=folder / "checkpoints")
        (folder / REQUEST).write_text(to_json(request), encoding="utf-8")
        (folder / SEARCH_PATH).write_text(json.dumps(sys.path), encoding="utf-8")
        logs = request.log.with_suffix("") if request.log else request.run_folder / "logs" / "task"
        # What a killed task leaves in its temporary folders goes with this one.
        environment = {**task_environment(request), "TMPDIR": name}
        program = Program([sys.executable, "-m", _MODULE, name], environment, logs, folder / "errors")
        run_cluster(make_cluster, program, max_restarts=request.config.max_restarts)
        return TrainResult(json.loads((folder / RESULT).read_text(encoding="utf-8")))


def task_environment(request: TrainRequest) -> Mapping[str, str]:
    """Return the environment variables of the processes that a training starts."""
    directly = {name: f"{os.environ[name]},{_HERE}" if os.environ.get(name) else _HERE for name in _NO_PROXY}
    return {**os.environ, **directly, **fixed_variables(request)}


def fixed_variables(request: TrainRequest) -> Mapping[str, str]:
    """Return the environment variables that every process of a training needs, on whatever machine."""
    return {
        "PYTHONUNBUFFERED": "1",
        **_ERRORS_ARE_EXCEPTIONS,
        LEGACY_SWITCH: "1" if request.config.keras == "tf_keras" else "0",
    }
