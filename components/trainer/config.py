"""The Trainer's typed parameters: what may stand under ``with:``. Imports neither TensorFlow nor TFX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from penstock.closest import did_you_mean
from penstock.types import IMPORT_PATH, FunctionPath


class _Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class DefaultStrategy(_Options):
    """No distribution: one replica on the device that TensorFlow prefers."""

    name: Literal["default"] = Field(default="default", description="The strategy's name.")


class MirroredStrategy(_Options):
    """One replica a device of this machine; gradients are averaged over all of them each step."""

    name: Literal["mirrored"] = Field(description="The strategy's name.")
    devices: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="Devices, one replica each, e.g. ['gpu:0', 'gpu:1']. Default: all GPUs, or without a GPU all "
        "logical CPUs (runtime.logical_devices.cpu).",
    )


STRATEGIES: dict[str, type[DefaultStrategy | MirroredStrategy]] = {
    "default": DefaultStrategy,
    "mirrored": MirroredStrategy,
}
StrategyName = Literal["default", "mirrored"]


def _checked_strategy(value: Any) -> Any:
    """Expand a bare name and say what is allowed, where pydantic's own messages would not."""
    options = {"name": value} if isinstance(value, str) else value
    if not isinstance(options, Mapping):
        return value
    name = options.get("name")
    if not isinstance(name, str) or name not in STRATEGIES:
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
    DefaultStrategy | MirroredStrategy,
    Field(discriminator="name"),
    BeforeValidator(_checked_strategy, json_schema_input_type=StrategyName | DefaultStrategy | MirroredStrategy),
]


class LogicalDevices(_Options):
    """Logical devices that one physical device is split into."""

    cpu: PositiveInt = Field(default=1, description="Logical CPUs, a count. Default 1.")


class RuntimeOptions(_Options):
    """How TensorFlow is set up before it starts."""

    logical_devices: LogicalDevices = Field(
        default=LogicalDevices(), description="Logical devices, to try a strategy on one machine. Default one CPU."
    )


class InputOptions(_Options):
    """How examples are read. Every option is per process, not per replica."""

    shuffle_buffer: NonNegativeInt = Field(
        default=10_000,
        description="Rows to draw the next one from; 0 keeps the files' order. With cache: memory all rows are "
        "shuffled. Default 10000.",
    )
    cache: Literal["memory", "none"] = Field(
        default="none",
        description="'memory' keeps all parsed and transformed rows of both splits, so that later epochs read no "
        "file; they must fit. Default none.",
    )
    parallel_reads: PositiveInt | Literal["auto"] = Field(
        default="auto", description="Files read at the same time, a count. Default auto: up to 8."
    )
    prefetch: PositiveInt | Literal["auto"] = Field(
        default="auto", description="Batches prepared ahead of the step, a count. Default auto: tuned while running."
    )


class GateOptions(_Options):
    """The predict gate: how the exported model is compared with the one in memory."""

    rows: PositiveInt = Field(default=64, description="Evaluation rows asked of every signature, a count. Default 64.")
    tolerance: PositiveFloat = Field(
        default=1e-5,
        description="Largest accepted difference of an output, absolute up to 1 and relative above. Default 1e-5.",
    )


class TrainerConfig(_Options):
    """Parameters of the Trainer."""

    model_fn: FunctionPath = Field(
        pattern=IMPORT_PATH,
        description="Import path of a function model_fn(context) that returns a compiled Keras 3 model.",
    )
    label: str = Field(min_length=1, description="Name of the label feature, as in the (transformed) examples.")
    epochs: PositiveInt | None = Field(
        default=None, description="Passes over the training split, a count; not together with steps. Default 1."
    )
    steps: PositiveInt | None = Field(
        default=None, description="Training steps, a count of global batches; not together with epochs. Default none."
    )
    batch_size: PositiveInt = Field(
        default=64,
        description="Rows a replica sees in one step; the global batch is this times the replicas. Default 64.",
    )
    hparams: dict[str, JsonValue] = Field(
        default_factory=dict, description="Values that model_fn finds as context.hparams. Default none."
    )
    seed: NonNegativeInt = Field(default=0, lt=2**32, description="Seed of weights, shuffling and dropout. Default 0.")
    strategy: Strategy = Field(
        default=DefaultStrategy(),
        description="How training is distributed: a name, or a mapping of the name and its options. Default default.",
    )
    runtime: RuntimeOptions = Field(default=RuntimeOptions(), description="How TensorFlow is set up.")
    input: InputOptions = Field(default=InputOptions(), description="How examples are read.")
    train_split: str = Field(default="train", min_length=1, description="Split to train on. Default train.")
    eval_split: str = Field(
        default="eval", min_length=1, description="Split for validation and the predict gate. Default eval."
    )
    gate: GateOptions = Field(default=GateOptions(), description="The check of the exported model.")

    @model_validator(mode="before")
    @classmethod
    def _one_length(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        epochs, steps = data.get("epochs"), data.get("steps")
        if epochs is not None and steps is not None:
            raise ValueError(f"give epochs or steps, not both; received epochs {epochs} and steps {steps}")
        return data if epochs is not None or steps is not None else {**data, "epochs": 1}
