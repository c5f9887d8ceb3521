"""Runs flatbuffers beside the SavedModel that they were made of: differences, metric, latency and memory."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.components.tflite_converter.arena import arena_bytes
from penstock.components.tflite_converter.compare import Compared, Judge, compare
from penstock.components.tflite_converter.config import Measure, Mode, TFLiteConverterConfig
from penstock.components.tflite_converter.inspection import Inspection
from penstock.components.tflite_converter.latency import time_in_turn
from penstock.components.tflite_converter.litert import LiteRTModel, part
from penstock.components.tflite_converter.metrics import METRICS
from penstock.components.tflite_converter.original import Original
from penstock.components.tflite_converter.result import Figures, Latency, Timing
from penstock.errors import ArtifactError
from penstock.reporting import status

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from penstock.components.tflite_converter.rows import Batch

    Arrays = Mapping[str, NDArray[Any]]
    Call = Callable[[], object]


@dataclass(frozen=True)
class Candidate:
    """A flatbuffer to measure.

    Args:
        content: The flatbuffer.
        file: Where it is.
        inspection: What is in it.
    """

    content: bytes
    file: Path
    inspection: Inspection


@dataclass(frozen=True)
class Measured:
    """What was measured.

    Args:
        rows: Rows that all models were asked, a count.
        baseline: The SavedModel's metric; None without one.
        latency: The SavedModel's latency.
        figures: What was found out about each mode.
        not_run: Mode → why LiteRT could not run it.
    """

    rows: int
    baseline: float | None
    latency: Latency
    figures: Mapping[Mode, Figures]
    not_run: Mapping[Mode, str]


def measure(
    original: Original, candidates: Mapping[Mode, Candidate], batches: Iterator[Batch], config: TFLiteConverterConfig
) -> Measured:
    """Measure every candidate on the same rows.

    Raises:
        ArtifactError: There are no rows, the SavedModel cannot answer, or the metric cannot be computed.
    """
    first = next(batches)
    models, not_run = _running(candidates, first, config)
    status(f"asking the SavedModel and {', '.join(models)} about the same rows")
    judge = Judge(config.gate.metric, config.output)
    compared = compare(original, models, itertools.chain([first], batches), judge)
    status("timing calls")
    latencies = _latencies(original, {mode: candidates[mode] for mode in models}, first, config)
    status("measuring memory")
    figures = {
        mode: _figures(mode, candidate, compared, latencies, config.gate.metric)
        if mode in models
        else Figures(candidate.inspection)
        for mode, candidate in candidates.items()
    }
    return Measured(compared.rows, compared.metric, latencies[None], figures, not_run)


def _running(
    candidates: Mapping[Mode, Candidate], batch: Batch, config: TFLiteConverterConfig
) -> tuple[dict[Mode, LiteRTModel], dict[Mode, str]]:
    """Return the models that LiteRT can run, and why not for the others."""
    models: dict[Mode, LiteRTModel] = {}
    not_run: dict[Mode, str] = {}
    for mode, candidate in candidates.items():
        foreign = candidate.inspection.tensorflow_ops
        if foreign:
            not_run[mode] = f"LiteRT here has no Flex delegate, which {', '.join(foreign)} takes"
            continue
        try:
            model = _model(candidate, config.signatures, config.measure.threads[0])
            for signature, inputs in batch.inputs.items():
                model.ask(signature, {name: array[:1] for name, array in inputs.items()})
        except ArtifactError as error:
            not_run[mode] = error.what
        else:
            models[mode] = model
    return models, not_run


def _model(candidate: Candidate, signatures: tuple[str, ...], threads: int) -> LiteRTModel:
    return LiteRTModel(candidate.content, signatures, threads=threads, where=str(candidate.file))


Key = tuple[Mode, int] | None
"""Mode and thread count; None for the SavedModel."""


def _latencies(
    original: Original, candidates: Mapping[Mode, Candidate], batch: Batch, config: TFLiteConverterConfig
) -> dict[Key, Latency]:
    signature = config.signatures[0]
    size = 1 if config.batch == "dynamic" else config.batch
    inputs = {name: part(array, 0, size) for name, array in batch.inputs[signature].items()}
    calls: dict[Key, Call] = {None: original.call(signature, inputs)}
    for mode, threads in itertools.product(candidates, config.measure.threads):
        model = _model(candidates[mode], config.signatures, threads)
        calls[mode, threads] = partial(model.call, signature, model.encode(signature, inputs))
    return _in_turn(calls, config.measure)


def _in_turn(calls: Mapping[Key, Call], options: Measure) -> dict[Key, Latency]:
    return time_in_turn(calls, warm_up=options.warm_up, runs=options.runs, seconds=options.seconds)


def _figures(
    mode: Mode, candidate: Candidate, compared: Compared, latencies: Mapping[Key, Latency], metric: str | None
) -> Figures:
    comparison = compared.by_model[mode]
    base = latencies[None].p50
    return Figures(
        inspection=candidate.inspection,
        comparison=comparison,
        drop=_drop(metric, compared.metric, comparison.metric),
        timings=tuple(
            Timing(key[1], latency, latency.p50 / base)
            for key, latency in latencies.items()
            if key is not None and key[0] == mode
        ),
        arena_bytes=arena_bytes(candidate.file),
    )


def _drop(metric: str | None, before: float | None, after: float | None) -> float | None:
    if metric is None or before is None or after is None:
        return None
    return before - after if METRICS[metric].higher_is_better else after - before
