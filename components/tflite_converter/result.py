"""What came of converting a model: one verdict a mode, with the figures behind it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from penstock.components.tflite_converter.config import Mode
from penstock.components.tflite_converter.inspection import Inspection


@dataclass(frozen=True)
class Comparison:
    """How a flatbuffer's answers differ from the SavedModel's, over all signatures, rows and outputs.

    Args:
        max_abs_error: The largest absolute difference.
        mean_abs_error: The mean absolute difference.
        class_flips: Rows of which the largest of several outputs is another one, a count; None where no output has
            several values.
        metric: The metric of the first signature; None where none was asked for.
    """

    max_abs_error: float
    mean_abs_error: float
    class_flips: int | None
    metric: float | None


@dataclass(frozen=True)
class Latency:
    """Time of one call, in microseconds.

    Args:
        p50: Half of the calls took at most so long.
        p90: Nine of ten calls took at most so long.
        runs: Calls that were timed, a count.
    """

    p50: float
    p90: float
    runs: int


@dataclass(frozen=True)
class Timing:
    """Latency with one thread count.

    Args:
        threads: Threads of an op, a count.
        latency: Of one call.
        ratio: Median, divided by the SavedModel's in the same rounds; below 1 is faster.
    """

    threads: int
    latency: Latency
    ratio: float


@dataclass(frozen=True)
class Figures:
    """What was found out about one flatbuffer.

    Args:
        inspection: What is in it.
        comparison: How it differs from the SavedModel; None where it could not be run.
        drop: How much worse its metric is than the SavedModel's, whichever direction is better; None without one.
        timings: One a thread count.
        arena_bytes: Memory for the tensors of one call, in bytes; None where LiteRT cannot tell.
    """

    inspection: Inspection
    comparison: Comparison | None = None
    drop: float | None = None
    timings: tuple[Timing, ...] = ()
    arena_bytes: int | None = None


@dataclass(frozen=True)
class Verdict:
    """Whether a mode is within tolerance, and why or why not."""

    blessed: bool
    reason: str


@dataclass(frozen=True)
class ModeResult:
    """What came of one mode; ``figures`` is None where it could not be converted."""

    mode: Mode
    verdict: Verdict
    figures: Figures | None


@dataclass(frozen=True)
class Conversion:
    """What came of all modes.

    Args:
        saved_model: The model.
        signatures: The signatures that were converted.
        batch: Rows of a call; None for any number.
        rows: Evaluation rows that all models were asked, a count.
        representative_rows: Rows that integer modes were calibrated with, a count.
        metric: Keras's name of the metric; None without one.
        baseline: The SavedModel's metric; None without one.
        latency: The SavedModel's latency.
        unfolded: Signatures that hold tables or other state, so that nothing could be computed in advance.
        results: One a mode, as configured.
    """

    saved_model: Path
    signatures: tuple[str, ...]
    batch: int | None
    rows: int
    representative_rows: int
    metric: str | None
    baseline: float | None
    latency: Latency
    unfolded: tuple[str, ...]
    results: tuple[ModeResult, ...]
