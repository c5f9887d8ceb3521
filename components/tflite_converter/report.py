"""What a conversion leaves: ``report.json``, a Markdown table, a plot, and each mode's own part beside its model."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from penstock import durable
from penstock.components.tflite_converter.plot import plot
from penstock.components.tflite_converter.result import Conversion, Figures, ModeResult
from penstock.components.tflite_converter.words import bytes_text, threads_text

MODEL_FILE = "model.tflite"
REPORT, TABLE, PLOT = "report.json", "report.md", "report.svg"
_PACKAGES = ("tensorflow", "ai-edge-litert")
_log = logging.getLogger(__name__)


def write_report(conversion: Conversion, folder: Path) -> None:
    """Write the reports into the folder that holds a folder for each mode, and the table into the log."""
    data = report(conversion)
    for result in data["modes"]:
        _write_json(folder / result["mode"] / REPORT, {**data, "modes": [result]})
    text = markdown(conversion)
    _log.info("%s", text)
    durable.write_text(folder / TABLE, text)
    durable.write_text(folder / PLOT, plot(conversion))
    _write_json(folder / REPORT, data)  # Last: where it is, everything is.


def report(conversion: Conversion) -> dict[str, Any]:
    """Return a conversion as JSON data; latencies are in microseconds, sizes in bytes."""
    return {
        "saved_model": str(conversion.saved_model),
        "signatures": list(conversion.signatures),
        "batch": conversion.batch,
        "rows": conversion.rows,
        "representative_rows": conversion.representative_rows,
        "metric": conversion.metric,
        "baseline": conversion.baseline,
        "saved_model_latency": asdict(conversion.latency),
        "not_folded": list(conversion.unfolded),
        "versions": {name: version(name) for name in _PACKAGES},
        "cpus": os.cpu_count(),
        "modes": [_mode(result) for result in conversion.results],
    }


def _mode(result: ModeResult) -> dict[str, Any]:
    head = {"mode": result.mode, "blessed": result.verdict.blessed, "reason": result.verdict.reason}
    return head if result.figures is None else {**head, **_figures(result.figures)}


def _figures(figures: Figures) -> dict[str, Any]:
    found = figures.inspection
    return {
        "size_bytes": found.size,
        "digest": found.digest,
        "ops": found.op_counts,
        "float_ops": [{"op": op.name, "layer": op.layer} for op in found.float_ops],
        "signatures": {
            signature.name: {
                "inputs": {name: asdict(tensor) for name, tensor in signature.inputs.items()},
                "outputs": {name: asdict(tensor) for name, tensor in signature.outputs.items()},
            }
            for signature in found.signatures
        },
        **(asdict(figures.comparison) if figures.comparison else {}),
        "drop": figures.drop,
        "latency": [
            {"threads": timing.threads, **asdict(timing.latency), "ratio": timing.ratio} for timing in figures.timings
        ],
        "arena_bytes": figures.arena_bytes,
    }


def _write_json(path: Path, data: Mapping[str, Any]) -> None:
    durable.write_text(path, json.dumps(_finite(data), indent=1, allow_nan=False) + "\n")


def _finite(value: Any) -> Any:
    """Return JSON data without NaN and infinity, which JSON has not: they become text."""
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def markdown(conversion: Conversion) -> str:
    """Return the verdicts as a Markdown table with a sentence of context."""
    metric = conversion.metric
    head = ["mode", "size", "smaller", *([metric, "drop"] if metric else []), "max error", "mean error", "class flips"]
    threads = next((each.figures.timings for each in conversion.results if each.figures and each.figures.timings), ())
    for timing in threads:
        head += [f"p50, {threads_text(timing.threads)}", "p90", "of SavedModel"]
    head += ["arena", "blessed", "reason"]
    largest = next((r.figures.inspection.size for r in conversion.results if r.figures and r.mode == "float32"), None)
    lines = [_row(head), _row(["---"] * len(head))]
    lines += [_row(_cells(result, metric, len(threads), largest)) for result in conversion.results]
    baseline = f" Its {metric} is {conversion.baseline:.4g}." if conversion.baseline is not None else ""
    context = (
        f"{conversion.rows} rows, batch {conversion.batch or 'dynamic'}; the SavedModel's signature "
        f"{conversion.signatures[0]} takes {conversion.latency.p50:.0f} µs (p90 {conversion.latency.p90:.0f} µs)."
    )
    return "\n".join([*lines, "", context + baseline, ""])


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def _cells(result: ModeResult, metric: str | None, thread_counts: int, largest: int | None) -> list[str]:
    figures, verdict = result.figures, result.verdict
    end = ["yes", ""] if verdict.blessed else ["no", verdict.reason]
    if figures is None:
        return [result.mode, *[""] * (6 + 2 * bool(metric) + 3 * thread_counts), *end]
    size, comparison = figures.inspection.size, figures.comparison
    cells = [result.mode, bytes_text(size), f"{largest / size:.2f} times" if largest else ""]
    if metric:
        cells += [_number(comparison.metric if comparison else None), _number(figures.drop)]
    cells += (
        [_number(comparison.max_abs_error), _number(comparison.mean_abs_error), _count(comparison.class_flips)]
        if comparison
        else [""] * 3
    )
    for timing in figures.timings:
        cells += [f"{timing.latency.p50:.0f} µs", f"{timing.latency.p90:.0f} µs", f"{timing.ratio:.2f}"]
    cells += [""] * (3 * (thread_counts - len(figures.timings)))
    return [*cells, bytes_text(figures.arena_bytes) if figures.arena_bytes is not None else "", *end]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}" if abs(value) < 0.1 else f"{value:.4f}"


def _count(value: int | None) -> str:
    return "" if value is None else str(value)
