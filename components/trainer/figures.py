"""Puts a finished training into figures: the report, and why it was not faster."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from penstock.components.trainer.batches import Batches
from penstock.components.trainer.config import TrainerConfig
from penstock.components.trainer.context import TrainerContext
from penstock.components.trainer.fingerprint import fingerprint
from penstock.components.trainer.gradients import Exchange
from penstock.components.trainer.memory import free_memory
from penstock.components.trainer.options import InputOptions
from penstock.components.trainer.outcome import FitOutcome, final_metrics
from penstock.components.trainer.predict_gate import SignatureCheck
from penstock.components.trainer.records import Split
from penstock.components.trainer.report import (
    Course,
    Speed,
    SplitFacts,
    TrainingReport,
    library_versions,
    source_state,
)
from penstock.components.trainer.verdict import NOW, DataFacts, StepTimes, Verdict, judge

_DRAIN_SECONDS = 1.0
_PATIENCE_SECONDS = 20.0
"""A cache that takes longer to fill is not tried."""
_WINDOW_ROWS = 1024
"""A larger shuffle buffer would take long to fill and change little."""
_COPIES = 4
"""Rows are held twice while a cache is filled; what is free besides is left to the model."""
_ENOUGH = 1e-9


@dataclass(frozen=True)
class Training:
    """A training that has ended.

    Args:
        config: The Trainer's parameters.
        outcome: What came of it.
        exchange: What one exchange of gradients costs; None where there is none or it is not known.
        batches: What it was trained on.
    """

    config: TrainerConfig
    outcome: FitOutcome
    exchange: Exchange | None
    batches: Batches


def make_report(
    context: TrainerContext, model: Any, training: Training, checks: tuple[SignatureCheck, ...]
) -> TrainingReport:
    """Return the report of a training; measures alternatives for a second each if it waited for its input.

    Args:
        context: What ``model_fn`` received.
        model: The model, free of any strategy.
        training: The training.
        checks: What the predict gate found.
    """
    config, outcome, splits = training.config, training.outcome, training.batches.splits
    return TrainingReport(
        model_fn=config.model_fn,
        label=config.label,
        parameters=int(model.count_params()),
        hparams=dict(context.hparams),
        seed=config.seed,
        keras=config.keras,
        precision=config.precision,
        quantize_aware=config.quantize_aware,
        strategy=config.strategy.model_dump(mode="json"),
        workers=context.num_workers,
        replicas=context.num_replicas,
        global_batch_size=context.global_batch_size,
        speed=_speed(training, context.global_batch_size),
        course=Course(
            epochs=config.epochs,
            steps=outcome.steps,
            final_metrics=final_metrics(outcome.history, outcome.best_epoch),
            best_epoch=outcome.best_epoch,
            stopped_early=outcome.stopped_early,
            rows_left_out=training.batches.rows_left_out,
            resumed_from_step=outcome.resumed_from,
        ),
        signatures=checks,
        versions=library_versions(config.keras, quantize_aware=config.quantize_aware),
        source=source_state(Path.cwd()),
        data={"train": _split_facts(splits.training), "eval": _split_facts(splits.evaluation)},
    )


def _split_facts(split: Split) -> SplitFacts:
    return SplitFacts(split.rows, fingerprint(split))


def _speed(training: Training, batch: int) -> Speed:
    outcome, exchange = training.outcome, training.exchange
    return Speed(
        verdict=_verdict(training),
        wall_seconds=outcome.wall_seconds,
        examples_per_second=outcome.trained_steps * batch / max(outcome.trained_seconds, _ENOUGH),
        examples_per_second_with_validation=outcome.steps * batch / max(outcome.wall_seconds, _ENOUGH),
        steps_per_execution=outcome.steps_per_execution,
        bytes_per_all_reduce=exchange.bytes if exchange else None,
        all_reduce_seconds=exchange.seconds if exchange else None,
    )


def _verdict(training: Training) -> Verdict:
    totals, exchange, batches = training.outcome.totals, training.exchange, training.batches
    times = StepTimes(
        totals.steps,
        totals.seconds,
        totals.waiting,
        exchange.seconds if exchange else None,
        exchange.bytes if exchange else None,
    )
    passes = training.outcome.steps / batches.steps_per_epoch
    data = DataFacts(batches.files, passes, batches.bytes_in_memory, free_memory())
    config = training.config
    verdict = judge(times, config, data)
    if verdict.name != "input-bound":
        return verdict
    return judge(times, config, data, _rates(config.input, batches) if config.dataset_fn is None else {})


def _rates(options: InputOptions, batches: Batches) -> dict[str, float]:
    """Return the rows a second that the input gives now, and that it would give; nothing if there is no alternative."""
    alternatives = dict(_alternatives(options, batches))
    if not alternatives:
        return {}
    rates = {NOW: _rate(batches, options)}
    for text, changed in alternatives.items():
        if changed.cache == options.cache or batches.rows / rates[NOW] < _PATIENCE_SECONDS:
            rates[text] = _rate(batches, changed)
    return rates


def _alternatives(options: InputOptions, batches: Batches) -> Iterator[tuple[str, InputOptions]]:
    if options.parallel_reads != "auto" and options.parallel_reads < batches.files:
        text = f"input.parallel_reads {options.parallel_reads} → auto"
        yield text, options.model_copy(update={"parallel_reads": "auto"})
    size = batches.bytes_in_memory
    if options.cache == "none" and size is not None and size < free_memory() / _COPIES:
        yield "input.cache: memory", options.model_copy(update={"cache": "memory"})


def _rate(batches: Batches, options: InputOptions) -> float:
    """Return the rows that the input alone gives in a second."""
    window = min(options.shuffle_buffer, _WINDOW_ROWS)
    iterator = iter(batches.with_input(options.model_copy(update={"shuffle_buffer": window})).training(0))
    began = time.perf_counter()
    rows = _rows_of(next(iterator))
    # What a shuffle buffer holds then comes at once, so its filling counts; that of a cache happens only once.
    if options.cache == "memory":
        rows, began = 0, time.perf_counter()
    end = time.perf_counter() + _DRAIN_SECONDS
    while time.perf_counter() < end:
        rows += _rows_of(next(iterator))
    return rows / (time.perf_counter() - began)


def _rows_of(batch: Any) -> int:
    return int(tf.shape(tf.nest.flatten(batch)[0])[0])
