"""What the strategy options turn into, as far as a machine without GPUs and TPUs can show."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.components.trainer.config import TrainerConfig
from penstock.errors import EnvironmentProblem, PenstockError


def made(**strategy: Any) -> Any:
    from penstock.components.trainer.strategies import make_strategy

    config = TrainerConfig.model_validate({"model_fn": "a.b", "label": "label", "strategy": strategy})
    return make_strategy(config.strategy)


def refused(**strategy: Any) -> str:
    with pytest.raises(PenstockError) as caught:
        made(**strategy)
    assert isinstance(caught.value, EnvironmentProblem)
    return str(caught.value)


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({"name": "default"}, "_DefaultDistributionStrategy"),
        ({"name": "one_device", "device": "/device:CPU:0"}, "OneDeviceStrategy"),
        ({"name": "mirrored"}, "MirroredStrategy"),
        ({"name": "mirrored", "devices": ["cpu:0"], "cross_device_ops": "hierarchical_copy"}, "MirroredStrategy"),
        ({"name": "central_storage"}, "CentralStorageStrategy"),
    ],
)
def test_names(options: dict[str, Any], kind: str) -> None:
    strategy = made(**options)
    assert (type(strategy).__name__, strategy.num_replicas_in_sync) == (kind, 1)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("hierarchical_copy", "HierarchicalCopyAllReduce"),
        ("reduction_to_one", "ReductionToOneDevice"),
    ],
)
def test_cross_device_ops(name: str, kind: str) -> None:
    strategy = made(name="mirrored", cross_device_ops=name)
    assert type(strategy.extended._cross_device_ops).__name__ == kind


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"name": "mirrored", "cross_device_ops": "nccl"},
            (
                "NCCL sums gradients between GPUs, and TensorFlow sees none\n"
                "  received: strategy.cross_device_ops: nccl\n"
                "  expected: at least one GPU\n"
                "  next: set strategy.cross_device_ops: hierarchical_copy"
            ),
        ),
        (
            {"name": "multi_worker_mirrored", "communication": "nccl"},
            (
                "NCCL sums gradients between GPUs, and TensorFlow sees none\n"
                "  received: strategy.communication: nccl\n"
                "  expected: at least one GPU\n"
                "  next: set strategy.communication: ring"
            ),
        ),
        (
            {"name": "one_device", "device": "gpu:0"},
            (
                "there is no device 'gpu:0'\n"
                "  received: strategy device gpu:0\n"
                "  expected: some of cpu:0\n"
                "  next: did you mean 'cpu:0'?"
            ),
        ),
        (
            {"name": "central_storage", "parameter_device": "gpu:3"},
            (
                "there is no device 'gpu:3'\n"
                "  received: strategy parameter_device gpu:3\n"
                "  expected: some of cpu:0\n"
                "  next: did you mean 'cpu:0'?"
            ),
        ),
    ],
)
def test_what_this_machine_lacks(options: dict[str, Any], message: str) -> None:
    assert refused(**options) == message


def test_a_tpu_that_is_not_there_is_looked_for_and_named() -> None:
    message = refused(name="tpu", address="grpc://127.0.0.1:1")
    assert message.startswith("there is no TPU at 'grpc://127.0.0.1:1': ")
    assert "expected: the name or grpc:// address of a TPU, or 'local' on a machine that has one" in message


@pytest.mark.parametrize(
    ("options", "kind", "shards"),
    [
        ({"name": "fixed", "shards": 3}, "FixedShardsPartitioner", [3, 1]),
        ({"name": "min_size", "bytes": 4000}, "MinSizePartitioner", [2, 1]),
        ({"name": "max_size", "bytes": 10_000}, "MaxSizePartitioner", [4, 1]),
    ],
)
def test_partitioners(options: dict[str, Any], kind: str, shards: list[int]) -> None:
    import tensorflow as tf

    from penstock.components.trainer.strategies import _partitioner, _shards
    from penstock.components.trainer.strategy_options import Partitioner

    partitioner = _partitioner(Partitioner.model_validate(options), 2)
    assert type(partitioner).__name__ == kind
    assert _shards(partitioner, tf.TensorShape([1000, 10]), tf.float32) == shards
    assert _shards(partitioner, tf.TensorShape([1000, 10]), tf.int64) == [1, 1]
