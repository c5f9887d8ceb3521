"""The ``strategy`` option: how training is distributed. Imports neither TensorFlow nor TFX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PositiveInt

from penstock.closest import did_you_mean
from penstock.components.trainer.options import Options

Communication = Literal["auto", "ring", "nccl"]


class DefaultStrategy(Options):
    """No distribution: one replica on the device that TensorFlow prefers."""

    name: Literal["default"] = Field(default="default", description="The strategy's name.")


class OneDeviceStrategy(Options):
    """One replica on a device that is named."""

    name: Literal["one_device"] = Field(description="The strategy's name.")
    device: str = Field(default="cpu:0", min_length=1, description="The device, e.g. gpu:1. Default cpu:0.")


class MirroredStrategy(Options):
    """One replica a device of this machine; gradients are summed over all of them each step."""

    name: Literal["mirrored"] = Field(description="The strategy's name.")
    devices: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="Devices, one replica each, e.g. ['gpu:0', 'gpu:1']. Default: all GPUs, or without a GPU all "
        "logical CPUs (runtime.logical_devices.cpu).",
    )
    cross_device_ops: Literal["auto", "nccl", "hierarchical_copy", "reduction_to_one"] = Field(
        default="auto", description="How gradients are summed. Default auto: nccl on GPUs where TensorFlow has it."
    )


class CentralStorageStrategy(Options):
    """One replica a device of this machine; the variables stay on one device."""

    name: Literal["central_storage"] = Field(description="The strategy's name.")
    compute_devices: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="Devices, one replica each. Default: all GPUs, or without a GPU all logical CPUs.",
    )
    parameter_device: str = Field(
        default="cpu:0", min_length=1, description="Device that holds the variables. Default cpu:0."
    )


class MultiWorkerMirroredStrategy(Options):
    """Replicas on several workers; gradients are summed over all of them each step."""

    name: Literal["multi_worker_mirrored"] = Field(description="The strategy's name.")
    workers: PositiveInt = Field(
        default=2,
        description="Worker processes that Penstock starts on this machine, a count. Where TF_CONFIG or CLUSTER_SPEC "
        "is set, that cluster's workers are used instead. Default 2.",
    )
    communication: Communication = Field(
        default="auto", description="How workers sum gradients: ring (gRPC) or nccl (GPUs). Default auto."
    )


class Partitioner(Options):
    """How large variables are spread over parameter servers; for tf_keras models."""

    name: Literal["min_size", "max_size", "fixed"] = Field(
        description="'min_size': shards of at least bytes; 'max_size': of at most bytes; 'fixed': as many as shards."
    )
    bytes: PositiveInt = Field(default=256 * 1024, description="Size of a shard, in bytes. Default 262144.")
    shards: PositiveInt | None = Field(
        default=None, description="Shards of a variable, a count: at most, or for 'fixed' exactly. Default: ps."
    )


class ParameterServerStrategy(Options):
    """Variables on parameter servers; workers compute steps independently of each other."""

    name: Literal["parameter_server"] = Field(description="The strategy's name.")
    workers: PositiveInt = Field(
        default=2, description="Worker processes that Penstock starts on this machine, a count. Default 2."
    )
    ps: PositiveInt = Field(
        default=1, description="Parameter servers that Penstock starts on this machine, a count. Default 1."
    )
    partitioner: Partitioner | None = Field(
        default=None, description="Split large variables over the servers; needs keras: tf_keras. Default: whole."
    )
    asynchronous: bool = Field(
        default=True,
        description="Workers never wait for each other. With false they wait at the end of each round of one step a "
        "worker. Default true.",
    )


class TPUStrategy(Options):
    """One replica a TPU core."""

    name: Literal["tpu"] = Field(description="The strategy's name.")
    address: str = Field(
        default="local", min_length=1, description="The TPU's name or grpc:// address, or 'local'. Default local."
    )


StrategyOptions = (
    DefaultStrategy
    | OneDeviceStrategy
    | MirroredStrategy
    | CentralStorageStrategy
    | MultiWorkerMirroredStrategy
    | ParameterServerStrategy
    | TPUStrategy
)
StrategyName = Literal[
    "default", "one_device", "mirrored", "central_storage", "multi_worker_mirrored", "parameter_server", "tpu"
]
STRATEGIES: dict[str, type[StrategyOptions]] = {
    "default": DefaultStrategy,
    "one_device": OneDeviceStrategy,
    "mirrored": MirroredStrategy,
    "central_storage": CentralStorageStrategy,
    "multi_worker_mirrored": MultiWorkerMirroredStrategy,
    "parameter_server": ParameterServerStrategy,
    "tpu": TPUStrategy,
}


def _checked_strategy(value: Any) -> Any:
    """Expand a bare name and say what is allowed, where pydantic's own messages would not."""
    if isinstance(value, Options):
        return value
    options = {"name": value} if isinstance(value, str) else value
    name = options.get("name") if isinstance(options, Mapping) else None
    if name is None:
        raise ValueError(f"a strategy has a name; allowed: {', '.join(STRATEGIES)}")
    if str(name) not in STRATEGIES:
        suggestion = did_you_mean(str(name), STRATEGIES)
        raise ValueError(
            f"unknown strategy {name!r}; allowed: {', '.join(STRATEGIES)}" + (f"; {suggestion}" if suggestion else "")
        )
    allowed = set(STRATEGIES[name].model_fields)
    foreign = sorted(set(options) - allowed)
    if foreign:
        raise ValueError(
            f"strategy {name!r} has no option {', '.join(map(repr, foreign))}; "
            f"allowed: {', '.join(sorted(allowed - {'name'})) or 'none besides name'}"
        )
    return options


Strategy = Annotated[
    StrategyOptions,
    Field(discriminator="name"),
    BeforeValidator(_checked_strategy, json_schema_input_type=StrategyName | StrategyOptions),
]
"""The type of the ``strategy`` field: a name, or a mapping of the name and its options."""
