"""Groups of the Trainer's parameters. Imports neither TensorFlow nor TFX."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

Auto = Literal["auto"]
LATEST_BLESSED = "latest_blessed"
"""Value of ``warm_start.from`` for the model that is wired as ``base_model``."""


class Options(BaseModel):
    """Base of all groups: unknown keys are errors, values do not change."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class LogicalDevices(Options):
    """Logical devices that one physical device is split into."""

    cpu: PositiveInt = Field(default=1, description="Logical CPUs, a count. Default 1.")
    gpu: PositiveInt = Field(
        default=1, description="Logical GPUs that each GPU is split into, a count; needs gpu_memory.limit. Default 1."
    )


class GpuMemory(Options):
    """How TensorFlow takes the memory of GPUs."""

    growth: bool = Field(
        default=False,
        description="Take memory as it is needed instead of all at the start; not with limit. Default no.",
    )
    limit: PositiveInt | None = Field(
        default=None, description="Memory of each (logical) GPU, in MB. Default none: all of it."
    )

    @model_validator(mode="after")
    def _one_way(self) -> GpuMemory:
        if self.growth and self.limit is not None:
            raise ValueError(f"give growth or limit, not both; received growth and limit {self.limit}")
        return self


class RuntimeOptions(Options):
    """How TensorFlow is set up before it starts."""

    logical_devices: LogicalDevices = Field(
        default=LogicalDevices(), description="Logical devices, to try a strategy on one machine. Default one of each."
    )
    gpu_memory: GpuMemory = Field(default=GpuMemory(), description="Memory of GPUs. Default: all of it.")
    inter_op_threads: NonNegativeInt = Field(
        default=0,
        description="Threads that run operations side by side, a count; 0 leaves it to TensorFlow. Default 0.",
    )
    intra_op_threads: NonNegativeInt = Field(
        default=0, description="Threads inside one operation, a count; 0 leaves it to TensorFlow. Default 0."
    )
    soft_placement: bool = Field(
        default=True, description="Run an operation elsewhere if its device cannot do it. Default yes."
    )
    log_device_placement: bool = Field(
        default=False, description="Write the device of each operation to the log. Default no."
    )
    jit_compile: bool = Field(default=False, description="Compile the training step with XLA. Default no.")
    deterministic: bool = Field(
        default=False,
        description="Use deterministic operations only: the same run gives the same weights, more slowly. Default no.",
    )

    @model_validator(mode="after")
    def _shares_have_a_size(self) -> RuntimeOptions:
        if self.logical_devices.gpu > 1 and self.gpu_memory.limit is None:
            raise ValueError(
                f"logical_devices.gpu: {self.logical_devices.gpu} splits each GPU, and TensorFlow must be told how "
                "many MB a part has; set gpu_memory.limit"
            )
        return self


class InputOptions(Options):
    """How examples are read. Every option is per process, not per replica."""

    shuffle_buffer: NonNegativeInt = Field(
        default=10_000,
        description="Rows that are shuffled together, a count: windows of so many, others in each pass; 0 keeps the "
        "order of reading. With cache: memory all rows are shuffled together. Default 10000.",
    )
    cache: Literal["memory", "none"] = Field(
        default="none",
        description="'memory' keeps all rows of both splits, parsed and transformed (serialized, where they vary in "
        "length), so that later epochs read no file; they must fit. Default none.",
    )
    parallel_reads: PositiveInt | Auto = Field(
        default="auto", description="Files read at once, a count; it also decides the order. Default auto: up to 8."
    )
    prefetch: PositiveInt | Auto = Field(
        default="auto", description="Batches prepared ahead of the step, a count. Default auto: tuned while running."
    )
    prefetch_to_device: bool | Auto = Field(
        default="auto",
        description="Copy batches to the replicas' devices ahead of the step. Default auto: where there are GPUs.",
    )
    autoshard: Literal["auto", "file", "data"] = Field(
        default="auto",
        description="What several workers share out: 'file' gives each its own files, 'data' lets each read all files "
        "and keep its rows. Default auto: files, if there are enough of about equal size.",
    )


class CheckpointOptions(Options):
    """When the state of a training is saved, so that a run that was killed goes on from there."""

    every_steps: PositiveInt | Auto = Field(
        default="auto", description="Steps between two checkpoints, a count. Default auto: one in about 30 s."
    )
    keep: PositiveInt = Field(default=3, description="Checkpoints kept, the newest, a count. Default 3.")


class WarmStart(Options):
    """Weights to begin with."""

    model_config = ConfigDict(populate_by_name=True)

    source: str = Field(
        alias="from",
        min_length=1,
        description="'latest_blessed', the model wired as base_model, or the path of a .keras file.",
    )


class EarlyStopping(Options):
    """When to end a training that no longer gets better; looked at after every epoch."""

    monitor: str = Field(default="val_loss", min_length=1, description="Metric to watch. Default val_loss.")
    patience: NonNegativeInt = Field(
        default=0,
        description="Epochs without an improvement after which training ends, a count, as in Keras. Default 0.",
    )
    min_delta: NonNegativeFloat = Field(default=0.0, description="Smallest change that counts. Default 0.")
    mode: Literal["auto", "min", "max"] = Field(
        default="auto",
        description="Which direction is better. Default auto: 'min' for losses and errors, 'max' for anything else.",
    )
    restore_best: bool = Field(default=True, description="Return to the best epoch's weights at the end. Default yes.")


class TensorBoardOptions(Options):
    """What is logged for TensorBoard, in the folder of the model_run artifact."""

    profile_steps: Annotated[tuple[PositiveInt, ...], Field(min_length=2, max_length=2)] | None = Field(
        default=None, description="First and last step to profile, counted from 1. Default none."
    )

    @model_validator(mode="after")
    def _in_order(self) -> TensorBoardOptions:
        if self.profile_steps and self.profile_steps[0] > self.profile_steps[1]:
            raise ValueError(f"the first step to profile comes after the last; received {list(self.profile_steps)}")
        return self


class GateOptions(Options):
    """The predict gate: how the exported model is compared with the one in memory."""

    rows: PositiveInt = Field(default=64, description="Evaluation rows asked of every signature, a count. Default 64.")
    tolerance: PositiveFloat = Field(
        default=1e-5,
        description="Largest accepted difference of an output, absolute up to 1 and relative above. Default 1e-5.",
    )
