"""Where the time of a training step goes, and what would make it shorter."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from penstock.components.trainer.config import TrainerConfig
from penstock.components.trainer.options import InputOptions
from penstock.components.trainer.progress_text import duration, size
from penstock.components.trainer.strategy_options import MirroredStrategy, MultiWorkerMirroredStrategy

Name = Literal["input-bound", "compute-bound", "synchronisation-bound", "balanced", "not measured"]

_BOUND = 1 / 3
"""A part that takes a third of the time: without it, training would be one and a half times as fast."""
_COMPUTE = 3 / 4
"""From here on, perfect input and synchronisation together would win less than a third."""
_WORTH_SAYING = 1.05
"""Alternatives that are this much faster are beyond the noise of a measurement."""
_SHORT_CALL = 0.01
"""Calls into TensorFlow of under 10 ms: their own cost, about a millisecond, counts."""
_PART_OF_MEMORY = 0.5
"""A cache may take half of the memory that is free; the other half is for the model."""
_AUTO_READS = 8
"""Files that ``parallel_reads: auto`` reads at the same time."""
_INPUT = "input."
NOW = "now"
"""Key of the configuration as it is, among the measured alternatives."""


@dataclass(frozen=True)
class StepTimes:
    """Sums over the calls into TensorFlow.

    Leave out a process's first two calls: they trace the step, and wait for the shuffle buffer to fill. With several
    workers, ``waiting`` is that of the worker that waited longest, since all wait for the slowest.

    Args:
        steps: Steps taken, a count of global batches.
        seconds: Wall time of the calls.
        waiting: Seconds of it that steps waited for their batch; None if not measured.
        all_reduce: Seconds of one exchange of gradients, measured alone; None if there is none or it is not known. A
            step may hide part of it behind computing, so the share made of it is an upper bound.
        bytes_per_all_reduce: Size of the gradients that a replica hands in; None if not known.
    """

    steps: int
    seconds: float
    waiting: float | None
    all_reduce: float | None = None
    bytes_per_all_reduce: int | None = None


@dataclass(frozen=True)
class Shares:
    """Parts of a step's time. They sum to 1; a part that was not measured is None, and counted as computing.

    Args:
        input: Waiting for the next batch.
        compute: Everything else.
        synchronise: Exchanging gradients between replicas.
    """

    input: float | None
    compute: float
    synchronise: float | None


@dataclass(frozen=True)
class DataFacts:
    """What is known of the training data as one process reads it.

    Args:
        files: Files, a count.
        passes: Times that the data is read, e.g. the epochs.
        cache_bytes: Size of all rows of both splits in memory, parsed and transformed; None if not known.
        free_memory: Bytes of memory that are free; None if not known.
    """

    files: int
    passes: float
    cache_bytes: int | None = None
    free_memory: int | None = None


@dataclass(frozen=True)
class Verdict:
    """What limits a training.

    Args:
        name: The part that takes most of the time, if one does.
        line: The verdict with its share and one advice, one line.
        shares: Parts of a step's time; None if no step was timed.
    """

    name: Name
    line: str
    shares: Shares | None


@dataclass(frozen=True)
class _Circumstances:
    """What a remedy depends on."""

    times: StepTimes
    config: TrainerConfig
    data: DataFacts


_Remedy = tuple[str | None, str]
"""The option that it changes, by which a measurement of it is recognised, and the advice."""


def judge(
    times: StepTimes, config: TrainerConfig, data: DataFacts, measured: Mapping[str, float] | None = None
) -> Verdict:
    """Say what limits a training, and what to do about it.

    Input or synchronisation is to blame when it takes the larger part of the two and at least a third; computing when
    it takes three quarters; otherwise the parts are balanced.

    Args:
        times: Sums over the calls into TensorFlow.
        config: The Trainer's parameters.
        data: What is known of the training data.
        measured: Examples/s by option text, e.g. ``{"now": 1000.0, "input.cache: memory": 9000.0}``, all measured in
            the same way: with ``input.`` options those of the input alone, which count only if it is to blame; with
            others those of the training.
    """
    if times.steps <= 0 or times.seconds <= 0:
        return Verdict("not measured", "not measured: training ended before its steps ran at their usual speed", None)
    shares = shares_of(times)
    name = _name(shares)
    advice = _advice(name, _Circumstances(times, config, data), measured or {})
    return Verdict(name, f"{name}: {_finding(name, shares, times)}; {advice}", shares)


def shares_of(times: StepTimes) -> Shares:
    """Return the parts of a step's time; what was measured beyond the whole is cut off."""
    waiting = None if times.waiting is None else _part(times.waiting, times.seconds, 1.0)
    left = 1.0 - (waiting or 0.0)
    exchange = None if times.all_reduce is None else _part(times.all_reduce * times.steps, times.seconds, left)
    return Shares(waiting, max(0.0, left - (exchange or 0.0)), exchange)


def _part(seconds: float, whole: float, most: float) -> float:
    return min(max(seconds / whole, 0.0), most)


def _name(shares: Shares) -> Name:
    waiting, exchange = shares.input or 0.0, shares.synchronise or 0.0
    if max(waiting, exchange) >= _BOUND:
        return "input-bound" if waiting >= exchange else "synchronisation-bound"
    return "compute-bound" if shares.compute >= _COMPUTE else "balanced"


def _finding(name: Name, shares: Shares, times: StepTimes) -> str:
    if name == "input-bound":
        return f"{_percent(shares.input)} of step time is waiting for data"
    if name == "synchronisation-bound":
        what = "gradients" if times.bytes_per_all_reduce is None else f"{size(times.bytes_per_all_reduce)} of gradients"
        cost = "" if times.all_reduce is None else f" ({duration(times.all_reduce)} a step)"
        return f"{_percent(shares.synchronise)} of step time is summing {what} over the replicas{cost}"
    if name == "compute-bound":
        unknown = " (waiting for data was not measured)" if shares.input is None else ""
        return f"{_percent(shares.compute)} of step time is computing{unknown}"
    exchange = "" if shares.synchronise is None else f", {_percent(shares.synchronise)} summing gradients"
    waiting = "" if shares.input is None else f", {_percent(shares.input)} waiting for data"
    return f"{_percent(shares.compute)} of step time is computing{waiting}{exchange}"


def _percent(share: float | None) -> str:
    return f"{100 * (share or 0.0):.0f} %"


def _advice(name: Name, circumstances: _Circumstances, measured: Mapping[str, float]) -> str:
    """Return the best measured alternative, or else the first remedy that was not measured to be useless."""
    advice = _best_measured(name, measured)
    if advice:
        return advice
    tried = [option for option in measured if option != NOW]
    remedies = (
        text
        for option, text in _REMEDIES[name](circumstances)
        if option is None or not any(other.startswith(option) for other in tried)
    )
    return next(remedies)


def _best_measured(name: Name, measured: Mapping[str, float]) -> str | None:
    """Name the fastest alternative, if it is faster than what is configured and attacks what takes the time."""
    rates = {
        option: rate
        for option, rate in measured.items()
        if option != NOW and (name == "input-bound" or not option.startswith(_INPUT))
    }
    now = measured.get(NOW, 0.0)
    if now <= 0 or not rates:
        return None
    best = max(rates, key=lambda option: rates[option])
    gain = rates[best] / now
    of_what = " out of the input" if best.startswith(_INPUT) else ""
    return f"{best} gives {gain:.1f} times the examples/s{of_what} (measured)" if gain >= _WORTH_SAYING else None


def _input_remedies(circumstances: _Circumstances) -> Iterator[_Remedy]:
    config, data = circumstances.config, circumstances.data
    if config.dataset_fn:
        yield None, f"{config.dataset_fn} makes the rows: let it map with num_parallel_calls, many rows at once"
    options = config.input
    if options.cache == "none":
        if data.passes > 1 and _fits(data):
            yield "input.cache", f"input.cache: memory keeps the rows{_in_memory(data)}; later passes read no file"
        yield from _reading_remedies(options, data)
    if options.prefetch != "auto":
        yield "input.prefetch", f"input.prefetch {options.prefetch} → auto prepares as many batches ahead as it takes"
    yield None, "smaller or fewer features, or more processor cores to prepare them, would help"


def _reading_remedies(options: InputOptions, data: DataFacts) -> Iterator[_Remedy]:
    reads, most = options.parallel_reads, min(_AUTO_READS, data.files)
    if reads != "auto" and reads < most:
        yield "input.parallel_reads", f"input.parallel_reads {reads} → auto reads {most} files at the same time"
    if data.files < _AUTO_READS:
        yield None, f"more files than {data.files} could be read at the same time"


def _fits(data: DataFacts) -> bool:
    if data.cache_bytes is None or data.free_memory is None:
        return True
    return data.cache_bytes <= data.free_memory * _PART_OF_MEMORY


def _in_memory(data: DataFacts) -> str:
    known = "" if data.cache_bytes is None else f" ({size(data.cache_bytes)})"
    return known if data.cache_bytes is not None and data.free_memory is not None else f"{known}, if they fit"


def _synchronisation_remedies(circumstances: _Circumstances) -> Iterator[_Remedy]:
    config = circumstances.config
    strategy = config.strategy
    if isinstance(strategy, MirroredStrategy) and strategy.cross_device_ops == "reduction_to_one":
        option = "strategy.cross_device_ops"
        yield option, f"{option} reduction_to_one → auto does not bring all gradients to one device"
    yield (
        "batch_size",
        f"a larger batch_size (now {config.batch_size} a replica) exchanges them less often for the same rows",
    )
    fewer = "workers" if isinstance(strategy, MultiWorkerMirroredStrategy) else "replicas"
    yield None, f"fewer {fewer} would have less to exchange"


def _compute_remedies(circumstances: _Circumstances) -> Iterator[_Remedy]:
    per_call, times = circumstances.config.steps_per_execution, circumstances.times
    if per_call != "auto" and per_call * times.seconds / times.steps < _SHORT_CALL:
        yield "steps_per_execution", f"steps_per_execution {per_call} → auto enters TensorFlow less often"
    yield None, "data and gradients keep up; a faster device, more replicas or a smaller model would help"


def _no_remedy(_circumstances: _Circumstances) -> Iterator[_Remedy]:
    yield None, "no single part holds training back"


_REMEDIES: Mapping[Name, Callable[[_Circumstances], Iterator[_Remedy]]] = {
    "input-bound": _input_remedies,
    "synchronisation-bound": _synchronisation_remedies,
    "compute-bound": _compute_remedies,
    "balanced": _no_remedy,
}
