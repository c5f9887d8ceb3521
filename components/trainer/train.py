"""Trains a model from files to a checked SavedModel. Knows nothing of TFX, and imports TensorFlow only where it trains.

A training runs in this process, or in processes of its own: those of a cluster, and one where another Keras is asked
for than the one that this process has.
"""

from __future__ import annotations

import os

from penstock.components.trainer.cluster.environment import from_environment
from penstock.components.trainer.cluster.ports import check_own_port
from penstock.components.trainer.cluster.topology import require_strategy
from penstock.components.trainer.cluster_options import KubernetesLauncher
from penstock.components.trainer.kubernetes.launch import train_on_kubernetes
from penstock.components.trainer.launch import train_in_cluster, train_in_process
from penstock.components.trainer.place import ALONE
from penstock.components.trainer.request import TrainRequest, TrainResult
from penstock.components.trainer.strategy_options import MultiWorkerMirroredStrategy, ParameterServerStrategy
from penstock.components.trainer.task import take_place


def train(request: TrainRequest) -> TrainResult:
    """Train, export, and check the export; nothing is published before the check has passed.

    With a strategy of several processes, this one takes its place in the cluster that ``TF_CONFIG`` or Vertex AI's
    ``CLUSTER_SPEC`` describes; without them a cluster is started on this machine, or, where ``cluster`` says so, as a
    training job on Kubernetes.

    Raises:
        UserCodeError: ``model_fn`` fails or returns something that cannot be trained on the data.
        ArtifactError: The data is empty, damaged or without the label, the loss is no number, or the exported model
            does not answer as the trained one.
        ConfigError: Neither a schema nor a transform graph is given.
        EnvironmentProblem: A device is missing, TensorFlow was started too early, or a task of the cluster died.
    """
    strategy = request.config.strategy
    place = from_environment(os.environ)
    if place is not None:
        require_strategy(place[0], strategy)
    if not isinstance(strategy, MultiWorkerMirroredStrategy | ParameterServerStrategy):
        return _alone(request)
    if place is None:
        options = request.config.cluster
        if isinstance(options, KubernetesLauncher):
            return train_on_kubernetes(request, options, strategy)
        return train_in_cluster(request, strategy)
    cluster, task = place
    check_own_port(cluster, task)
    return take_place(request, cluster, task)


def _alone(request: TrainRequest) -> TrainResult:
    import tensorflow as tf

    present = "tf_keras" if tf.keras.Model.__module__.startswith("tf_keras") else "keras"
    if present != request.config.keras:
        return train_in_process(request)
    from penstock.components.trainer.session import run_session

    return run_session(request, ALONE)
