"""The batches of one training: which rows, in which order, for which replicas."""

from __future__ import annotations

import logging
import sys
from copy import copy
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import tensorflow as tf

from penstock.components.trainer.config import TrainerConfig
from penstock.components.trainer.context import TrainerContext
from penstock.components.trainer.execution import EngineData
from penstock.components.trainer.feed import DeviceFeed, Feed, HostFeed
from penstock.components.trainer.input_pipeline import (
    RowParser,
    evaluation_data,
    training_data,
    user_evaluation_data,
    user_training_data,
)
from penstock.components.trainer.model import ModelInputs
from penstock.components.trainer.options import InputOptions
from penstock.components.trainer.place import Place
from penstock.components.trainer.preprocessing import Preprocessing
from penstock.components.trainer.records import Split, count_rows
from penstock.components.trainer.request import TrainRequest
from penstock.components.trainer.schedule import Passes
from penstock.components.trainer.sharding import BatchPlan, Sharding, choose_sharding
from penstock.components.trainer.strategy_options import ParameterServerStrategy, TPUStrategy
from penstock.errors import ArtifactError, UserCodeError
from penstock.reporting import note
from penstock.user_code import import_function, user_code_boundary

_log = logging.getLogger(__name__)
_ROW_PARTS = (2, 3)
"""Inputs and label, and perhaps a sample weight."""


@dataclass(frozen=True)
class Splits:
    """What there is to train on and to evaluate with."""

    training: Split
    evaluation: Split


def count_splits(request: TrainRequest) -> Splits:
    """Read both splits once, so that damage is found before anything is trained.

    Raises:
        ArtifactError: A split has no rows, or a file is damaged or not there.
    """
    config, files = request.config, request.files
    splits = Splits(
        count_rows(files.train, config.train_split, config.input),
        count_rows(files.evaluation, config.eval_split, config.input),
    )
    _log.info("%d rows to train on, %d to evaluate", splits.training.rows, splits.evaluation.rows)
    return splits


def make_plan(config: TrainerConfig, replicas: int, place: Place, splits: Splits) -> BatchPlan:
    """Return how batches are shared out.

    Raises:
        ArtifactError: There are fewer files, or fewer rows, than the workers need.
    """
    if isinstance(config.strategy, ParameterServerStrategy):
        # The coordinator plans for one replica, and its workers take turns.
        return BatchPlan(config.batch_size)
    announce = note if place.chief else _log.info
    sharding: Sharding = "data"
    if config.dataset_fn is None:
        sharding = choose_sharding(
            splits.training, config.input.autoshard, place.workers, split_name=config.train_split, announce=announce
        )
    plan = BatchPlan(
        config.batch_size,
        replicas=replicas,
        workers=place.workers,
        worker=place.worker,
        sharding=sharding,
        static_batches=isinstance(config.strategy, TPUStrategy),
    )
    if config.dataset_fn is None:
        plan.pass_shape(splits.training.rows)
    return plan


class Batches:
    """Makes the datasets of a training.

    Args:
        request: What to train.
        splits: The splits.
        plan: How batches are shared out.
        context: What the user's ``dataset_fn`` receives.
        preprocessing: From raw rows to the model's features.
        inputs: The features that the model takes.
    """

    def __init__(
        self,
        request: TrainRequest,
        splits: Splits,
        plan: BatchPlan,
        *,
        context: TrainerContext,
        preprocessing: Preprocessing,
        inputs: ModelInputs,
    ) -> None:
        self._config = request.config
        self.splits = splits
        self._plan = plan
        self._context = context
        make = partial(RowParser, inputs=inputs.names, label=self._config.label, single=inputs.single)
        if request.files.transformed:
            self._parser = make(spec=preprocessing.model_spec, transform=dict)
        else:
            self._parser = make(spec=preprocessing.raw_spec, transform=preprocessing.apply)

    @cached_property
    def rows(self) -> int:
        """Rows of a pass over the training data, a count."""
        return self._counted(training=True) if self._config.dataset_fn else self.splits.training.rows

    @property
    def steps_per_epoch(self) -> int:
        """Steps of a pass over the training data, a count of global batches."""
        return self._plan.steps_per_epoch(self.rows)

    @property
    def files(self) -> int:
        """Files of the training data, a count."""
        return len(self.splits.training.files)

    @property
    def rows_left_out(self) -> int:
        """Rows of a pass over the training data that are in no batch, a count."""
        shape = self._plan.pass_shape(self.rows)
        return self.rows - shape.full_steps * self._plan.global_batch - shape.last_batch * self._plan.replicas

    @property
    def bytes_in_memory(self) -> int | None:
        """Size of all parsed rows of both splits; None where rows vary in length."""
        specs = tf.nest.flatten(self.spec)
        elements = [spec.shape[1:].num_elements() for spec in specs]
        if self._config.dataset_fn or None in elements or any(spec.dtype == tf.string for spec in specs):
            return None
        row = sum(count * spec.dtype.size for count, spec in zip(elements, specs, strict=True))
        return int(row * (self.splits.training.rows + self.splits.evaluation.rows))

    def with_input(self, options: InputOptions) -> Batches:
        """Return the same batches read in another way."""
        changed = copy(self)
        vars(changed)["_config"] = self._config.model_copy(update={"input": options})
        return changed

    @cached_property
    def spec(self) -> Any:
        """TensorSpecs of a batch: (inputs, label)."""
        streamed = self.with_input(self._config.input.model_copy(update={"cache": "none"}))
        return streamed.training(0).element_spec

    def training(self, step: int) -> Any:
        """Return the training batches from a step on, without end."""
        epoch, step_in_epoch = divmod(step, self.steps_per_epoch)
        passes = Passes(self._config.seed, epochs=None, start_epoch=epoch, start_step=step_in_epoch)
        if self._config.dataset_fn:
            make = partial(self._users, training=True)
            return user_training_data(make, self._config.input, self._plan, passes, rows=self.rows)
        return training_data(self.splits.training, self._parser, self._config.input, self._plan, passes)

    def engine_data(self, strategy: Any, step: int, place: Place) -> EngineData:
        """Return what an engine needs, the training data from a step on."""
        evaluation = self._evaluation()
        steps = int(evaluation.cardinality()) // self._plan.local_replicas
        return EngineData(
            partial(self.training, step),
            evaluation,
            steps,
            self._feed(strategy),
            workers=place.workers,
            worker=place.worker,
            alike=lambda taken: self._alike(step + taken),
        )

    def _alike(self, step: int) -> int:
        """Return how many steps from one on have batches of the same shape, a count from 1."""
        if any(None in spec.shape[1:] for spec in tf.nest.flatten(self.spec)):
            return 1
        shape = self._plan.pass_shape(self.rows)
        if not (shape.full_steps and shape.last_batch):
            return sys.maxsize
        return max(1, shape.full_steps - step % shape.steps)

    def _evaluation(self) -> Any:
        if self._config.dataset_fn:
            make, rows = partial(self._users, training=False), self._counted(training=False)
            return user_evaluation_data(make, self._config.input, self._plan, rows=rows)
        return evaluation_data(self.splits.evaluation, self._parser, self._config.input, self._plan)

    def _feed(self, strategy: Any) -> Feed:
        wanted = self._config.input.prefetch_to_device
        if isinstance(self._config.strategy, ParameterServerStrategy):
            return HostFeed(1)
        if self._plan.static_batches or (wanted if wanted != "auto" else tf.config.list_logical_devices("GPU")):
            return DeviceFeed(strategy)
        return HostFeed(self._plan.local_replicas)

    def _users(self, *, training: bool) -> Any:
        """Return one pass of single rows from the user's ``dataset_fn``."""
        path = str(self._config.dataset_fn)
        files = self.splits.training.files if training else self.splits.evaluation.files
        with user_code_boundary(f"dataset_fn {path!r}"):
            dataset = import_function(path)(self._context, list(files), training)
        if tf.executing_eagerly():  # The workers of parameter servers trace it again, what was checked before.
            _check_users_rows(dataset, path)
        return dataset

    def _counted(self, *, training: bool) -> int:
        rows = int(self._users(training=training).reduce(tf.zeros([], tf.int64), lambda count, *_: count + 1))
        if rows:
            return rows
        split = self._config.train_split if training else self._config.eval_split
        raise ArtifactError(
            f"dataset_fn {self._config.dataset_fn!r} gives no row of split {split!r}", expected="at least one row"
        )


def _check_users_rows(dataset: Any, path: str) -> None:
    expected = "a tf.data.Dataset of single (inputs, label) rows, one pass"
    if not isinstance(dataset, tf.data.Dataset):
        raise UserCodeError(
            f"dataset_fn {path!r} returned no dataset", received=type(dataset).__name__, expected=expected
        )
    row = dataset.element_spec
    if not isinstance(row, tuple) or len(row) not in _ROW_PARTS:
        raise UserCodeError(f"dataset_fn {path!r} gives rows without a label", received=str(row), expected=expected)
    if int(dataset.cardinality()) == tf.data.INFINITE_CARDINALITY:
        raise UserCodeError(
            f"dataset_fn {path!r} gives rows without end",
            received="a dataset of infinite cardinality",
            expected=expected,
            hint="leave out repeat(): the Trainer begins a new pass by itself",
        )
