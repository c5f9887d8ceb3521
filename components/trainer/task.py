"""The program that a process of its own runs: ``python -m penstock.components.trainer.task FOLDER``.

The folder holds ``request.json`` and ``path.json``; the chief leaves ``result.json`` there. Which task of which cluster
this is says ``TF_CONFIG``; a process without it trains alone.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import NoReturn

from penstock import durable
from penstock.components.trainer.cluster.environment import assigned_task
from penstock.components.trainer.cluster.error_files import TaskError, record_error
from penstock.components.trainer.cluster.lifeline import end_with_parent
from penstock.components.trainer.cluster.ports import check_own_port
from penstock.components.trainer.cluster.reporting import reporter_from_environment
from penstock.components.trainer.cluster.topology import Cluster, Task
from penstock.components.trainer.place import ALONE, Place
from penstock.components.trainer.request import TrainRequest, TrainResult, from_json
from penstock.errors import EnvironmentProblem, PenstockError
from penstock.reporting import Sink, note, reporting_to
from penstock.user_code import describe_exception

REQUEST = "request.json"
RESULT = "result.json"
SEARCH_PATH = "path.json"


def take_place(request: TrainRequest, cluster: Cluster, task: Task) -> TrainResult:
    """Do this process's part of a training in a cluster; servers do theirs until they are ended.

    Returns:
        What is recorded of the model; nothing on a task that is not the chief.

    Raises:
        PenstockError: As :func:`penstock.components.trainer.train.train`.
    """
    from penstock.components.trainer.session import run_session

    if cluster.tasks == (task,):
        os.environ.pop("TF_CONFIG", None)
        return run_session(request, ALONE)
    if task.type == "evaluator":
        note("nothing to do for an evaluator: the training evaluates by itself")
        return TrainResult({})
    os.environ["TF_CONFIG"] = cluster.tf_config(task)
    if task not in cluster.training_tasks:
        _serve(request, cluster, task)
    number = 0 if cluster.has_servers else cluster.training_tasks.index(task)
    return run_session(request, Place(workers=cluster.workers, worker=number, chief=cluster.is_chief(task)))


def main(folder: Path, sink: Sink | None = None) -> int:
    """Run one task; return the process's exit code.

    Args:
        folder: Where the request is.
        sink: Who receives what the task reports. None: the launcher that started it, or the log.
    """
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname).1s %(name)s: %(message)s")
    sys.path[:0] = json.loads((folder / SEARCH_PATH).read_text(encoding="utf-8"))
    request = from_json((folder / REQUEST).read_text(encoding="utf-8"))
    try:
        with reporting_to(sink or reporter_from_environment(), request.log):
            place = assigned_task(os.environ)
            check_own_port(*place)
            result = take_place(request, *place)
    except PenstockError as error:
        traceback.print_exc()
        record_error(TaskError(error, peer_lost=_peer_is_lost(error.__cause__)))
        return error.exit_code
    except Exception as error:  # noqa: BLE001  The boundary: whatever a task raises is reported, never lost.
        traceback.print_exc()
        record_error(TaskError(EnvironmentProblem(describe_exception(error)), peer_lost=_peer_is_lost(error)))
        return 1
    if result.properties:
        durable.write_text(folder / RESULT, json.dumps(dict(result.properties)))
    return 0


def _peer_is_lost(error: BaseException | None) -> bool:
    from penstock.components.trainer.training_errors import PEER_LOST

    return isinstance(error, PEER_LOST)


def _serve(request: TrainRequest, cluster: Cluster, task: Task) -> NoReturn:
    """Answer the coordinator's calls until this process is ended."""
    import tensorflow as tf

    from penstock.components.trainer import runtime

    runtime.configure(request.config.runtime)
    spec = tf.train.ClusterSpec({name: list(addresses) for name, addresses in cluster.addresses.items()})
    server = tf.distribute.Server(spec, job_name=task.type, task_index=task.index, protocol="grpc", start=True)
    server.join()
    raise EnvironmentProblem(f"TensorFlow's server of {task} ended by itself")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
