"""The Trainer's typed parameters: what may stand under ``with:``. Imports neither TensorFlow nor TFX."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, JsonValue, NonNegativeInt, PositiveInt, model_validator

from penstock.components.trainer.cluster_options import ClusterOptions, KubernetesLauncher, LocalLauncher
from penstock.components.trainer.options import (
    Auto,
    CheckpointOptions,
    EarlyStopping,
    GateOptions,
    InputOptions,
    Options,
    RuntimeOptions,
    TensorBoardOptions,
    WarmStart,
)
from penstock.components.trainer.strategy_options import (
    DefaultStrategy,
    MultiWorkerMirroredStrategy,
    ParameterServerStrategy,
    Strategy,
)
from penstock.types import IMPORT_PATH, FunctionPath


class TrainerConfig(Options):
    """Parameters of the Trainer."""

    model_fn: FunctionPath = Field(
        pattern=IMPORT_PATH,
        description="Import path of a function model_fn(context) that returns a compiled Keras model.",
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
    keras: Literal["keras", "tf_keras"] = Field(
        default="keras",
        description="What context.keras and tf.keras are: Keras 3, or Keras 2 (the package tf_keras). Default keras.",
    )
    strategy: Strategy = Field(
        default=DefaultStrategy(),
        description="How training is distributed: a name, or a mapping of the name and its options. Default default.",
    )
    cluster: ClusterOptions = Field(
        default=LocalLauncher(),
        description="Who starts the processes of a strategy that has several: launcher local or kubernetes. Default "
        "local: this machine.",
    )
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = Field(
        default="float32", description="Keras's precision policy: what layers compute with. Default float32."
    )
    quantize_aware: bool = Field(
        default=False,
        description="Train with weights and activations rounded to 8 bits, as int8 kernels will; needs keras: "
        "tf_keras. Default no.",
    )
    steps_per_execution: PositiveInt | Auto = Field(
        default="auto",
        description="Steps in one call into TensorFlow, a count. Default auto: as many as take about a tenth of a "
        "second, by measuring.",
    )
    runtime: RuntimeOptions = Field(default=RuntimeOptions(), description="How TensorFlow is set up.")
    input: InputOptions = Field(default=InputOptions(), description="How examples are read.")
    checkpoint: CheckpointOptions = Field(
        default=CheckpointOptions(), description="When the training's state is saved. A killed step goes on from there."
    )
    warm_start: WarmStart | None = Field(default=None, description="Weights to begin with. Default none: new ones.")
    early_stopping: EarlyStopping | None = Field(default=None, description="When to end early. Default never.")
    max_restarts: NonNegativeInt = Field(
        default=0,
        description="How often processes of a cluster that died are started again, from the last checkpoint, a count. "
        "Default 0.",
    )
    tensorboard: TensorBoardOptions = Field(
        default=TensorBoardOptions(), description="What is logged for TensorBoard, beside losses and metrics."
    )
    dataset_fn: FunctionPath | None = Field(
        default=None,
        pattern=IMPORT_PATH,
        description="Import path of a function dataset_fn(context, files, training) that returns a tf.data.Dataset of "
        "single (inputs, label) rows, one pass. Default: the split's tf.Examples.",
    )
    callbacks_fn: FunctionPath | None = Field(
        default=None,
        pattern=IMPORT_PATH,
        description="Import path of a function callbacks_fn(context) that returns Keras callbacks. Default none.",
    )
    serving_fn: FunctionPath | None = Field(
        default=None,
        pattern=IMPORT_PATH,
        description="Import path of a function serving_fn(context, model) that returns further signatures: a mapping "
        "of names to (function, input TensorSpecs). Default none.",
    )
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

    @model_validator(mode="after")
    def _early_stopping_looks_at_epochs(self) -> TrainerConfig:
        if self.early_stopping and self.steps is not None:
            raise ValueError(
                f"early_stopping looks at the metrics after every epoch, and steps: {self.steps} makes no epochs; "
                "give epochs, or leave early_stopping out"
            )
        return self

    @model_validator(mode="after")
    def _partitioner_needs_tf_keras(self) -> TrainerConfig:
        strategy = self.strategy
        if isinstance(strategy, ParameterServerStrategy) and strategy.partitioner and self.keras == "keras":
            raise ValueError(
                "strategy.partitioner splits variables, which Keras 3 cannot hold; set keras: tf_keras, or leave the "
                "partitioner out"
            )
        return self

    @model_validator(mode="after")
    def _quantization_rounds_floats_of_tf_keras(self) -> TrainerConfig:
        if self.quantize_aware and self.keras == "keras":
            raise ValueError(
                "quantize_aware wraps layers by tensorflow-model-optimization, which knows no Keras 3; set keras: "
                "tf_keras, or leave quantize_aware out"
            )
        if self.quantize_aware and self.precision != "float32":
            raise ValueError(
                f"quantize_aware rounds float32 values, and precision {self.precision} has none; leave one of the two "
                "out"
            )
        if self.quantize_aware and isinstance(self.strategy, ParameterServerStrategy) and self.strategy.partitioner:
            raise ValueError(
                "quantize_aware measures the range of whole variables, and strategy.partitioner splits them; leave one "
                "of the two out"
            )
        return self

    @model_validator(mode="after")
    def _workers_of_servers_stream(self) -> TrainerConfig:
        if isinstance(self.strategy, ParameterServerStrategy) and self.input.cache == "memory":
            raise ValueError(
                "input.cache: memory would keep the rows in the coordinator, and the workers of strategy "
                "parameter_server read for themselves; leave cache out"
            )
        return self

    @model_validator(mode="after")
    def _workers_of_servers_take_turns_as_they_come(self) -> TrainerConfig:
        if isinstance(self.strategy, ParameterServerStrategy) and self.runtime.deterministic:
            raise ValueError(
                "runtime.deterministic cannot hold under strategy parameter_server, whose workers change the weights "
                "in the order in which they happen to be ready; leave deterministic out"
            )
        return self

    @model_validator(mode="after")
    def _jobs_have_several_processes(self) -> TrainerConfig:
        if not isinstance(self.cluster, KubernetesLauncher):
            return self
        several = isinstance(self.strategy, MultiWorkerMirroredStrategy | ParameterServerStrategy)
        if not several:
            raise ValueError(
                f"cluster.launcher: kubernetes starts the processes of a cluster, and strategy {self.strategy.name} "
                "has one process; set strategy: multi_worker_mirrored or parameter_server, or leave cluster out"
            )
        devices = self.runtime.logical_devices
        if devices.cpu > 1 or devices.gpu > 1:
            raise ValueError(
                "runtime.logical_devices is for trying a strategy on one machine; on Kubernetes set strategy.workers "
                "and cluster.resources instead"
            )
        return self
