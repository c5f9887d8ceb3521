"""From rows to the batches of each replica: read in parallel, shuffled, parsed many at a time, kept in memory if asked.

The order of rows depends on the seed and the number of the pass alone: not on timing, cores, or tuning, and with data
sharding not on workers and replicas either. Global batch g of a pass has the same rows whether one replica takes them
all or several take consecutive slices of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import tensorflow as tf

from penstock.components.trainer.feature_specs import FeatureSpec
from penstock.components.trainer.options import InputOptions
from penstock.components.trainer.preprocessing import densify
from penstock.components.trainer.records import Split, files_read_at_once, read_blocks
from penstock.components.trainer.replica_batches import Rows, evaluation_batches, training_batches
from penstock.components.trainer.row_stream import Source, bytes_of_row, rows_of_block
from penstock.components.trainer.schedule import Passes, Schedule
from penstock.components.trainer.sharding import BatchPlan, evaluation_plan, share_of
from penstock.errors import UserCodeError

_READ_ROWS = 256
"""Rows that a file gives at a time, a count, at most."""


@dataclass(frozen=True)
class RowParser:
    """Turns a batch of serialized tf.Examples into what the model's steps take.

    Args:
        spec: How the files' rows are parsed.
        transform: Applied to a parsed batch; returns dense features.
        inputs: The features that the model takes.
        label: The label feature.
        single: The model takes its one input as a bare tensor, not by name.
    """

    spec: FeatureSpec
    transform: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    inputs: tuple[str, ...]
    label: str
    single: bool = False

    def __call__(self, serialized: Any) -> tuple[Any, Any]:
        """Return (inputs, label) of a batch, both with the batch as first dimension."""
        rows = self.transform(tf.io.parse_example(serialized, dict(self.spec)))
        inputs = {name: rows[name] for name in self.inputs}
        return (inputs[self.inputs[0]] if self.single else inputs), rows[self.label]


def training_data(
    split: Split,
    parser: RowParser,
    options: InputOptions,
    plan: BatchPlan,
    passes: Passes,
) -> Any:
    """Return this process's training batches of all epochs, without a stall between two epochs.

    Those of a step come one after the other, one a replica. A pass is cut into steps as
    :meth:`BatchPlan.pass_shape` says. With file sharding an epoch has as many steps for all workers: one whose files
    end early goes on with its next pass over them.

    Args:
        split: What to read.
        parser: Applied to many rows at a time.
        options: How to read. With ``cache: memory`` rows of fixed shape are kept parsed and transformed; rows of
            varying length are kept serialized, as each batch is padded to its own longest row.
        plan: Who sees how many rows.
        passes: Which epochs. What follows a start is what an uninterrupted run would have seen from there on.

    Returns:
        A dataset of (inputs, label).

    Raises:
        ArtifactError: The split has no row for each replica, or with static batches no full batch.
    """
    rows = _tf_examples(share_of(split, plan), parser, options)
    return training_batches(rows, Schedule(plan, split.rows, passes), options)


def evaluation_data(split: Split, parser: RowParser, options: InputOptions, plan: BatchPlan) -> Any:
    """Return this process's evaluation batches: every row once over all workers, in an order that is always the same.

    Every worker yields as many batches, the same number for each of its replicas; where the rows run out, batches have
    none. With static batches the remainder is left out instead. Rows are shared out by files only where there is a file
    for each worker.

    Args:
        split: What to read.
        parser: Applied to many rows at a time.
        options: How to read.
        plan: Who sees how many rows.

    Returns:
        A dataset of (inputs, label) whose cardinality is known.

    Raises:
        ArtifactError: With static batches, the split has no full batch.
    """
    plan = evaluation_plan(split, plan)
    most = max(share_of(split, replace(plan, worker=worker)).rows for worker in range(plan.workers))
    rows = _tf_examples(share_of(split, plan), parser, options)
    return evaluation_batches(rows, plan, options, most_rows=most)


def user_training_data(
    make_dataset: Callable[[], Any],
    options: InputOptions,
    plan: BatchPlan,
    passes: Passes,
    *,
    rows: int,
) -> Any:
    """Return training batches of a user's dataset, as :func:`training_data` does of files.

    Rows are shuffled and shared out here, by rows. What the user's dataset shuffles by itself is another order each
    time it is read; after a restart, and between workers, it is the same only if it has a seed and does not reshuffle.

    Args:
        make_dataset: Returns one pass of single (inputs, label) rows.
        options: How to read.
        plan: Who sees how many rows.
        passes: Which epochs.
        rows: Rows of every pass, a count; a pass of more or fewer ends in a TensorFlow error.

    Raises:
        ArtifactError: There is no row for each replica, or with static batches no full batch.
        UserCodeError: Rows are not of tensors of known rank.
    """
    schedule = Schedule(replace(plan, sharding="data"), rows, passes)
    return training_batches(_user_rows(make_dataset(), options, rows), schedule, options)


def user_evaluation_data(make_dataset: Callable[[], Any], options: InputOptions, plan: BatchPlan, *, rows: int) -> Any:
    """Return evaluation batches of a user's dataset, as :func:`evaluation_data` does of files, shared out by rows.

    Args:
        make_dataset: Returns one pass of single (inputs, label) rows.
        options: How to read.
        plan: Who sees how many rows.
        rows: Rows of the pass, a count.

    Raises:
        ArtifactError: With static batches, there is no full batch.
        UserCodeError: Rows are not of tensors of known rank.
    """
    plan = replace(plan, sharding="data")
    return evaluation_batches(_user_rows(make_dataset(), options, rows), plan, options, most_rows=rows)


def _tf_examples(split: Split, parser: RowParser, options: InputOptions) -> Rows:
    window = options.shuffle_buffer
    reads = files_read_at_once(split.files, options)
    block_rows = rows_of_block(split.row_bytes)
    read_rows = min(_READ_ROWS, block_rows)
    if window:
        # A window smaller than what is read in one turn would hold rows of a few files only.
        read_rows = max(1, min(read_rows, window // reads))

    def blocks(seed: Any) -> Any:
        return read_blocks(split.files, options, block_rows=read_rows, seed=seed if window else None)

    return Rows(Source(blocks, split.rows, window, block_rows), tf.function(parser))


def _user_rows(dataset: Any, options: InputOptions, rows: int) -> Rows:
    for part in tf.nest.flatten(dataset.element_spec):
        if not isinstance(part, tf.TensorSpec | tf.RaggedTensorSpec) or part.shape.rank is None:
            raise UserCodeError(
                "dataset_fn gives rows that cannot be batched",
                received=repr(part),
                expected="tensors whose number of dimensions is known",
                hint="densify sparse tensors, and call set_shape on what a py_function returns",
            )
    counted = dataset.apply(tf.data.experimental.assert_cardinality(rows))
    block_rows = rows_of_block(bytes_of_row(counted.batch(1).element_spec))
    blocks = counted.ragged_batch(min(_READ_ROWS, block_rows))

    @tf.function
    def convert(*parts: Any) -> Any:
        # tf.data takes a tuple apart, a gathered block comes as one.
        return tf.nest.map_structure(densify, parts if len(parts) > 1 else parts[0])

    return Rows(Source(lambda _seed: blocks, rows, options.shuffle_buffer, block_rows), convert)
