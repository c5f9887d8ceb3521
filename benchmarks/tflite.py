"""Size and latency of flatbuffers in every mode: ``python -m benchmarks.tflite [--rounds N] [--threads 1 2]``.

The digits CNN of ``examples``, and MobileNetV2 of two sizes with weights that nobody trained: what an op costs does not
depend on them. Each is converted and timed by the TFLiteConverter itself; within a round all modes, thread counts and
the SavedModel's signature are asked in turn in one process. Ratios are medians over the rounds of the ratio within a
round. Accuracy is for the pipeline to measure: ``configs/digits-tflite.yaml``.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

SIGNATURE, INPUT = "serving_default", "image"
REPRESENTATIVE_ROWS, EVALUATION_ROWS = 20, 8
DEMANDED_RATIO = {10_000_000: 3.7, 3_000_000: 2.9}
"""Bytes of the float32 flatbuffer, at least → how many times smaller int8 shall be."""
DEMANDED_SPEED_UP = 1.5

Figures = dict[str, Any]


@dataclass(frozen=True)
class Model:
    """A model to convert.

    Attributes:
        build: Returns the Keras model.
        shape: Of one row.
        runs: Timed calls of each contender in a round, a count, at most.
        seconds: Timed calls of a round end after so long.
    """

    build: Callable[[], Any]
    shape: tuple[int, ...]
    runs: int
    seconds: float


def _digits() -> Any:
    import keras

    from examples.digits.model import build_model

    inputs = {INPUT: keras.Input((8, 8, 1), name=INPUT)}
    hparams = SimpleNamespace(units=512, learning_rate=0.001)
    return build_model(SimpleNamespace(keras=keras, inputs=lambda: inputs, hparams=hparams))


def _mobilenet(alpha: float, classes: int) -> Any:
    import keras

    inputs = {INPUT: keras.Input((224, 224, 3), name=INPUT)}
    body = keras.applications.MobileNetV2((224, 224, 3), alpha=alpha, weights=None, classes=classes)
    return keras.Model(inputs, body(inputs[INPUT]))


MODELS = {
    "digits_cnn": Model(_digits, (8, 8, 1), runs=500, seconds=60),
    "mobilenet_v2_half": Model(lambda: _mobilenet(0.5, 10), (224, 224, 3), runs=30, seconds=60),
    "mobilenet_v2": Model(lambda: _mobilenet(1.0, 1000), (224, 224, 3), runs=30, seconds=120),
}


def _write_rows(file: Path, shape: tuple[int, ...], count: int) -> str:
    import tensorflow as tf

    random = np.random.default_rng(0)
    with tf.io.TFRecordWriter(str(file)) as writer:
        for _ in range(count):
            values = random.uniform(-1, 1, shape).ravel()
            feature = tf.train.Feature(float_list=tf.train.FloatList(value=values))
            example = tf.train.Example(features=tf.train.Features(feature={INPUT: feature}))
            writer.write(example.SerializeToString())
    return str(file)


def _export(model: Any, folder: Path) -> Path:
    import keras
    import tensorflow as tf

    archive = keras.export.ExportArchive()
    archive.track(model)
    spec = {INPUT: tf.TensorSpec([None, *model.inputs[0].shape[1:]], tf.float32, name=INPUT)}
    archive.add_endpoint(SIGNATURE, lambda inputs: {"outputs": model(inputs, training=False)}, [spec])
    archive.write_out(str(folder), verbose=False)
    return folder


def _round(saved_model: Path, model: Model, folder: Path, threads: Sequence[int]) -> Figures:
    """Convert and time once, and return the report."""
    from penstock.components.tflite_converter.config import TFLiteConverterConfig
    from penstock.components.tflite_converter.convert import ConvertRequest, convert
    from penstock.components.tflite_converter.report import report
    from penstock.components.tflite_converter.rows import RowFiles

    folder.mkdir()
    rows = _write_rows(folder / "rows", model.shape, REPRESENTATIVE_ROWS)
    output = folder / "out"
    output.mkdir()
    measure = {"threads": list(threads), "runs": model.runs, "warm_up": 3, "seconds": model.seconds}
    request = ConvertRequest(
        saved_model=saved_model,
        config=TFLiteConverterConfig.model_validate({"signature": SIGNATURE, "measure": measure}),
        representative=RowFiles((rows,), REPRESENTATIVE_ROWS, "rows"),
        evaluation=RowFiles((rows,), EVALUATION_ROWS, "rows"),
        output=output,
    )
    return report(convert(request))


def _figures(rounds: list[Figures]) -> Figures:
    """Return the figures of one model over all rounds."""
    modes = {result["mode"]: [_mode(each, result["mode"]) for each in rounds] for result in rounds[0]["modes"]}
    float32 = modes["float32"]
    figures: Figures = {"saved_model_p50_us": _median(each["saved_model_latency"]["p50"] for each in rounds)}
    for mode, results in modes.items():
        figures[mode] = {
            "size_bytes": results[0]["size_bytes"],
            "times_smaller": round(float32[0]["size_bytes"] / results[0]["size_bytes"], 2),
            "arena_bytes": results[0]["arena_bytes"],
            **({} if results[0]["blessed"] else {"reason": results[0]["reason"]}),
            "float_ops": sum(results[0]["ops"].values()) if mode == "float32" else len(results[0]["float_ops"]),
            "threads": {
                str(timing["threads"]): _timing(number, results, float32)
                for number, timing in enumerate(results[0]["latency"])
            },
        }
    return {**figures, "aims": _aims(figures)}


def _mode(data: Figures, mode: str) -> Figures:
    found: Figures = next(result for result in data["modes"] if result["mode"] == mode)
    return found


def _timing(number: int, results: list[Figures], float32: list[Figures]) -> Figures:
    timings = [result["latency"][number] for result in results]
    pairs = zip((result["latency"][number] for result in float32), timings, strict=True)
    return {
        "p50_us": _median(timing["p50"] for timing in timings),
        "p90_us": _median(timing["p90"] for timing in timings),
        "runs": [timing["runs"] for timing in timings],
        "times_faster_than_float32": _median(base["p50"] / timing["p50"] for base, timing in pairs),
        "times_faster_than_saved_model": _median(1 / timing["ratio"] for timing in timings),
    }


def _median(values: Any) -> float:
    return round(float(statistics.median(values)), 3)


def _aims(figures: Figures) -> Figures:
    size, smaller = figures["float32"]["size_bytes"], figures["int8"]["times_smaller"]
    faster = {threads: timing["times_faster_than_float32"] for threads, timing in figures["int8"]["threads"].items()}
    demanded = next((ratio for least, ratio in DEMANDED_RATIO.items() if size >= least), None)
    return {
        "int8_times_smaller": {"got": smaller, "aim": demanded, "met": demanded is None or smaller >= demanded},
        "int8_times_faster": {
            "got": faster,
            "aim": DEMANDED_SPEED_UP,
            "met": {threads: ratio >= DEMANDED_SPEED_UP for threads, ratio in faster.items()},
        },
    }


def _machine() -> Figures:
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split() if Path("/proc/cpuinfo").exists() else []
    wanted = ("avx2", "avx512f", "avx_vnni", "avx512_vnni", "amx_int8")
    return {
        "cpus": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "cpu_flags": sorted(flag for flag in wanted if flag in flags),
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Run the benchmark and print its figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tflite", description=(__doc__ or "").split(":")[0])
    parser.add_argument("--rounds", type=int, default=3, help="rounds; each converts and times everything")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="thread counts of an op")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    arguments = parser.parse_args(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    logging.basicConfig(level=logging.ERROR)
    figures: Figures = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.models:
            model, place = MODELS[name], Path(folder, name)
            saved_model = _export(model.build(), place / "model")
            rounds = [
                _round(saved_model, model, place / f"round-{number}", arguments.threads)
                for number in range(arguments.rounds)
            ]
            versions = rounds[0]["versions"]
            figures[name] = _figures(rounds)
    sys.stdout.write(json.dumps({**_machine(), **versions, "rounds": arguments.rounds, **figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
