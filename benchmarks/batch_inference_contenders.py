"""One run of one contender: ``python -m benchmarks.batch_inference_contenders NAME JSON``.

Prints what it has come to as JSON, on the last line.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.batch_inference_data import OUTPUTS

_BATCH = 4096
_LONGEST_SECONDS = 1800
"""Of one run: about ten times what the slowest takes for a million rows."""


@dataclass(frozen=True)
class Run:
    """What a contender has come to.

    Attributes:
        seconds: Wall time, without imports.
        megabytes: The most memory that its process had.
    """

    seconds: float
    megabytes: float


def run(name: str, **task: Any) -> Run:
    """Run a contender in a process of its own; what it prints is shown if it fails."""
    command = [sys.executable, "-m", __spec__.name, name, json.dumps(task)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    try:
        ended = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=_LONGEST_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise SystemExit(f"{name} has not ended after {_LONGEST_SECONDS} s: {task}") from error
    if ended.returncode:
        raise SystemExit(f"{name} failed:\n{ended.stdout[-2000:]}{ended.stderr[-2000:]}")
    return Run(**json.loads(ended.stdout.splitlines()[-1]))


def _ours(task: Mapping[str, Any]) -> Callable[[], object]:
    import tensorflow  # noqa: ICN001, F401  The time of its import is not to be counted.
    from apache_beam import Pipeline
    from apache_beam.runners.portability.fn_api_runner import FnApiRunner

    from penstock.components.batch_inference.config import BatchInferenceConfig
    from penstock.components.batch_inference.infer import infer
    from penstock.components.batch_inference.pinned import pin
    from penstock.components.batch_inference.request import InferenceRequest

    config = BatchInferenceConfig.model_validate(
        {
            "output": {"format": task["format"], "outputs": OUTPUTS},
            "batch": {"max_rows": task.get("max_rows", _BATCH)},
            "mode": task.get("mode", "saved_model"),
        }
    )

    def score() -> None:
        model = None if config.remote else pin(Path(task["model"]))
        request = InferenceRequest(config, (f"{task['rows']}/*.gz",), Path(task["output"]), model)
        infer(request, lambda: Pipeline(runner=FnApiRunner()))

    return score


def _bulk_inferrer(task: Mapping[str, Any]) -> Callable[[], object]:
    from tfx.components.bulk_inferrer.executor import Executor
    from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
    from tfx.types import standard_artifacts

    examples, model, result = (
        standard_artifacts.Examples(),
        standard_artifacts.Model(),
        standard_artifacts.InferenceResult(),
    )
    examples.uri, examples.split_names = str(Path(task["rows"]).parent), json.dumps(["rows"])
    model.uri, result.uri = str(Path(task["model"]).parent), task["output"]
    context = BaseBeamExecutor.Context(
        beam_pipeline_args=["--runner=FnApiRunner"], tmp_dir=f"{task['output']}-work", unique_id="1"
    )
    inputs, outputs = {"examples": [examples], "model": [model]}, {"inference_result": [result]}
    return lambda: Executor(context).Do(inputs, outputs, {"model_spec": "{}", "data_spec": "{}"})


def _limit(task: Mapping[str, Any]) -> Callable[[], object]:
    """The bare loop: TensorFlow reads and batches, the signature answers, our own encoders write; nothing else."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import tensorflow as tf

    from penstock.components.batch_inference.config import Output
    from penstock.components.batch_inference.rows import Predictions
    from penstock.components.batch_inference.scoring.scorer import signature_of
    from penstock.components.batch_inference.writing.writer import Writing, open_writer

    model, output = Path(task["model"]), Path(task["output"])
    chosen = Output(format=task["format"])
    nothing = pa.record_batch([], names=[])

    def score() -> None:
        output.mkdir(parents=True)
        signature = signature_of(model, "serving_default", OUTPUTS)
        loaded = tf.saved_model.load(str(model))
        answer = loaded.signatures["serving_default"]
        writing = Writing(chosen.format, chosen.chosen_compression, signature, pa.schema([]))
        for file in sorted(Path(task["rows"]).glob("*.gz")):
            writer = open_writer(output / file.name, writing)
            done = 0
            for records in _batches(str(file), task.get("max_rows", _BATCH)):
                found = answer(examples=records)
                outputs = {name: found[name].numpy() for name in OUTPUTS}
                numbers = pa.array(range(done, done + len(records))).cast(pa.string())
                keys = pc.binary_join_element_wise(pa.scalar(f"{file.name}:"), numbers, "")
                rows = Predictions(keys, nothing, outputs, {"examples": records.numpy()})
                writer.append(writer.encode(rows))
                done += len(records)
            writer.close()

    return score


def _batches(file: str, rows: int) -> Iterator[Any]:
    import tensorflow as tf

    yield from tf.data.TFRecordDataset(file, "GZIP", buffer_size=1 << 20).batch(rows).prefetch(2)


CONTENDERS = {"ours": _ours, "bulk_inferrer": _bulk_inferrer, "limit": _limit}


def _main(name: str, task: str) -> None:
    work = CONTENDERS[name](json.loads(task))
    began = time.perf_counter()
    work()
    print(json.dumps({"seconds": time.perf_counter() - began, "megabytes": _most_memory()}), flush=True)
    # The interpreter's own end takes seconds, and is nobody's work.
    os._exit(0)


def _most_memory() -> float:
    """Return the most memory that this process had, in megabytes.

    Not getrusage's: that begins with what the process had that started this one.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM:"))


if __name__ == "__main__":
    _main(*sys.argv[1:])
