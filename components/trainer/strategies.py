"""From the ``strategy`` option to a ``tf.distribute.Strategy``."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import tensorflow as tf

from penstock.closest import did_you_mean
from penstock.components.trainer.strategy_options import (
    CentralStorageStrategy,
    DefaultStrategy,
    MirroredStrategy,
    MultiWorkerMirroredStrategy,
    OneDeviceStrategy,
    ParameterServerStrategy,
    Partitioner,
    StrategyOptions,
    TPUStrategy,
)
from penstock.errors import ConfigError, EnvironmentProblem
from penstock.serving.saved_model import tensorflow_message

_log = logging.getLogger(__name__)
_CONNECT_SECONDS = 10.0
_TPU_PORT = 8470


def make_strategy(options: StrategyOptions) -> Any:
    """Return the strategy that the options ask for.

    Strategies of several processes take the cluster and this process's place in it from ``TF_CONFIG``.

    Raises:
        ConfigError: A device is named more than once.
        EnvironmentProblem: A device is not there, or what sums gradients needs GPUs and there are none.
    """
    strategy = _MAKERS[type(options)](options)
    _log.info("strategy %s: %d replica(s) in sync", options.name, strategy.num_replicas_in_sync)
    return strategy


def _default(_options: DefaultStrategy) -> Any:
    return tf.distribute.get_strategy()


def _one_device(options: OneDeviceStrategy) -> Any:
    (device,) = _present([options.device], "device")
    return tf.distribute.OneDeviceStrategy(f"/{device}")


def _mirrored(options: MirroredStrategy) -> Any:
    devices = _present(options.devices, "devices") if options.devices else _all_devices()
    return tf.distribute.MirroredStrategy(devices, cross_device_ops=_cross_device_ops(options.cross_device_ops))


def _central_storage(options: CentralStorageStrategy) -> Any:
    devices = _present(options.compute_devices, "compute_devices") if options.compute_devices else _all_devices()
    (parameters,) = _present([options.parameter_device], "parameter_device")
    return tf.distribute.experimental.CentralStorageStrategy(devices, parameters)


def _multi_worker_mirrored(options: MultiWorkerMirroredStrategy) -> Any:
    if options.communication == "nccl":
        _require_gpus("communication: nccl", "communication: ring")
    implementation = tf.distribute.experimental.CommunicationImplementation[options.communication.upper()]
    return tf.distribute.MultiWorkerMirroredStrategy(
        communication_options=tf.distribute.experimental.CommunicationOptions(implementation=implementation)
    )


def _parameter_server(options: ParameterServerStrategy) -> Any:
    resolver = tf.distribute.cluster_resolver.TFConfigClusterResolver()
    servers = len(resolver.cluster_spec().job_tasks("ps"))
    partitioner = partial(_shards, _partitioner(options.partitioner, servers)) if options.partitioner else None
    return tf.distribute.ParameterServerStrategy(resolver, variable_partitioner=partitioner)


def _tpu(options: TPUStrategy) -> Any:
    try:
        _require_answer(options.address)
        resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=options.address)
        if options.address != "local":
            tf.config.experimental_connect_to_cluster(resolver)
        tf.tpu.experimental.initialize_tpu_system(resolver)
    except (ValueError, OSError, tf.errors.OpError) as error:
        text = tensorflow_message(error) if isinstance(error, tf.errors.OpError) else str(error)
        raise EnvironmentProblem(
            f"there is no TPU at {options.address!r}: {text}",
            received=f"strategy.address {options.address!r}",
            expected="the name or grpc:// address of a TPU, or 'local' on a machine that has one",
        ) from error
    return tf.distribute.TPUStrategy(resolver)


def _require_answer(address: str) -> None:
    """Connect once to a ``grpc://`` address: TensorFlow would wait for it without an end.

    Raises:
        OSError: Nobody listens there.
    """
    parts = urlsplit(address)
    if parts.scheme == "grpc":
        socket.create_connection((parts.hostname or "", parts.port or _TPU_PORT), _CONNECT_SECONDS).close()


_MAKERS: Mapping[type[StrategyOptions], Callable[[Any], Any]] = {
    DefaultStrategy: _default,
    OneDeviceStrategy: _one_device,
    MirroredStrategy: _mirrored,
    CentralStorageStrategy: _central_storage,
    MultiWorkerMirroredStrategy: _multi_worker_mirrored,
    ParameterServerStrategy: _parameter_server,
    TPUStrategy: _tpu,
}


def _cross_device_ops(name: str) -> Any:
    if name == "nccl":
        _require_gpus("cross_device_ops: nccl", "cross_device_ops: hierarchical_copy")
        return tf.distribute.NcclAllReduce()
    if name == "hierarchical_copy":
        return tf.distribute.HierarchicalCopyAllReduce()
    return tf.distribute.ReductionToOneDevice() if name == "reduction_to_one" else None


def _partitioner(options: Partitioner, servers: int) -> Any:
    partitioners = tf.distribute.experimental.partitioners
    shards = options.shards or servers
    if options.name == "min_size":
        return partitioners.MinSizePartitioner(min_shard_bytes=options.bytes, max_shards=shards)
    if options.name == "max_size":
        return partitioners.MaxSizePartitioner(max_shard_bytes=options.bytes, max_shards=options.shards)
    return partitioners.FixedShardsPartitioner(num_shards=shards)


def _shards(partitioner: Callable[..., list[int]], shape: Any, dtype: Any, **options: Any) -> list[int]:
    """Return the shards of a variable along each axis; the state of a random generator, say, must stay whole."""
    return partitioner(shape, dtype, **options) if dtype.is_floating else [1] * shape.rank


def _require_gpus(received: str, instead: str) -> None:
    if not tf.config.list_logical_devices("GPU"):
        raise EnvironmentProblem(
            "NCCL sums gradients between GPUs, and TensorFlow sees none",
            received=f"strategy.{received}",
            expected="at least one GPU",
            hint=f"set strategy.{instead}",
        )


def _all_devices() -> list[str]:
    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
    return [_short(device.name) for device in devices]


def _present(devices: Sequence[str], option: str) -> list[str]:
    known = [_short(device.name) for device in tf.config.list_logical_devices()]
    names = [_short(device) for device in devices]
    received = f"strategy {option} {', '.join(devices)}"
    for given, name in zip(devices, names, strict=True):
        if name not in known:
            raise EnvironmentProblem(
                f"there is no device {given!r}",
                received=received,
                expected=f"some of {', '.join(known)}",
                hint="runtime.logical_devices.cpu makes more CPUs"
                if name.startswith("cpu:")
                else did_you_mean(name, known),
            )
        if names.count(name) > 1:
            raise ConfigError(
                f"device {given!r} is named more than once",
                received=received,
                expected="a device of its own for each replica",
            )
    return names


def _short(device: str) -> str:
    """Return ``cpu:0`` for any of TensorFlow's spellings of it."""
    kind, _, number = device.lower().replace("/device:", "/").rpartition("/")[2].partition(":")
    return f"{kind}:{number or 0}"
