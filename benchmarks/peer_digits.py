"""The digits pipeline written by hand with plain TFX, to compare with: ``python -m benchmarks.peer_digits ROOT``.

The last line that it prints is one JSON object: seconds in all, seconds for imports, and seconds for each step.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ACCURACY = 0.9
TRAIN_STEPS = 115
"""Five epochs of 1,437 digits in batches of 64."""


def pipeline(root: Path) -> Any:
    """Return the pipeline; its data is in ``root/data`` and its versions go to ``root/serving``."""
    from tfx.orchestration import metadata
    from tfx.orchestration import pipeline as tfx_pipeline

    return tfx_pipeline.Pipeline(
        pipeline_name="peer_digits",
        pipeline_root=str(root / "artifacts"),
        components=_components(root),
        metadata_connection_config=metadata.sqlite_metadata_connection_config(str(root / "metadata.sqlite")),
        # As ours: Beam's default would try a runner first that it downloads.
        beam_pipeline_args=["--runner=FnApiRunner", "--direct_running_mode=in_memory"],
        enable_cache=True,
    )


def _components(root: Path) -> list[Any]:
    from tfx import components
    from tfx.proto import bulk_inferrer_pb2, example_gen_pb2, pusher_pb2, trainer_pb2

    splits = [example_gen_pb2.Input.Split(name=name, pattern=f"{name}-*") for name in ("train", "eval")]
    examples = components.ImportExampleGen(
        input_base=str(root / "data"), input_config=example_gen_pb2.Input(splits=splits)
    )
    statistics = components.StatisticsGen(examples=examples.outputs["examples"])
    schema = components.SchemaGen(statistics=statistics.outputs["statistics"])
    validator = components.ExampleValidator(
        statistics=statistics.outputs["statistics"], schema=schema.outputs["schema"]
    )
    transform = components.Transform(
        examples=examples.outputs["examples"],
        schema=schema.outputs["schema"],
        preprocessing_fn="examples.digits.preprocessing.preprocessing_fn",
    )
    trainer = components.Trainer(
        examples=transform.outputs["transformed_examples"],
        transform_graph=transform.outputs["transform_graph"],
        schema=schema.outputs["schema"],
        run_fn="examples.digits.stock.run_fn",
        train_args=trainer_pb2.TrainArgs(num_steps=TRAIN_STEPS),
        eval_args=trainer_pb2.EvalArgs(),
    )
    evaluator = components.Evaluator(
        examples=examples.outputs["examples"], model=trainer.outputs["model"], eval_config=_eval_config()
    )
    filesystem = pusher_pb2.PushDestination.Filesystem(base_directory=str(root / "serving"))
    pusher = components.Pusher(
        model=trainer.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        push_destination=pusher_pb2.PushDestination(filesystem=filesystem),
    )
    predictions = components.BulkInferrer(
        examples=examples.outputs["examples"],
        model=trainer.outputs["model"],
        data_spec=bulk_inferrer_pb2.DataSpec(example_splits=["eval"]),
        model_spec=bulk_inferrer_pb2.ModelSpec(),
    )
    return [examples, statistics, schema, validator, transform, trainer, evaluator, pusher, predictions]


def _eval_config() -> Any:
    from google.protobuf import json_format
    from tensorflow_model_analysis.proto import config_pb2

    threshold = {"value_threshold": {"lower_bound": ACCURACY}}
    config = {
        "model_specs": [{"signature_name": "serving_default", "label_key": "label"}],
        "slicing_specs": [{}],
        "metrics_specs": [{"metrics": [{"class_name": "SparseCategoricalAccuracy", "threshold": threshold}]}],
    }
    return json_format.ParseDict(config, config_pb2.EvalConfig())


def _import_all() -> None:
    """Import what the steps need, so that no import is counted as a step's own time."""
    import keras  # noqa: F401
    import tensorflow_transform  # noqa: F401
    import tf_keras  # noqa: F401
    from tfx import components  # noqa: F401
    from tfx.orchestration.local import local_dag_runner  # noqa: F401


def _run(root: Path) -> dict[str, float]:
    """Run the pipeline and return the seconds that each step took, its bookkeeping in ML Metadata included."""
    from tfx.orchestration.local import local_dag_runner

    seconds: dict[str, float] = {}

    class TimedLauncher(local_dag_runner.launcher.Launcher):
        def __init__(self, pipeline_node: Any, **details: Any) -> None:
            super().__init__(pipeline_node=pipeline_node, **details)
            self.step = pipeline_node.node_info.id

        def launch(self) -> Any:
            start = time.monotonic()
            result = super().launch()
            seconds[self.step] = round(time.monotonic() - start, 2)
            return result

    # The runner has no hook, and what it logs is lost once a step changes the log level.
    local_dag_runner.launcher.Launcher = TimedLauncher
    local_dag_runner.LocalDagRunner().run(pipeline(root))
    return seconds


def main(argv: Sequence[str] | None = None) -> int:
    """Run the pipeline, print the JSON object and return the exit status: 1 when no version was pushed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peer_digits", description=__doc__)
    parser.add_argument("root", type=Path, help="folder for data, artifacts, metadata and pushed versions")
    root = parser.parse_args(argv).root.absolute()
    # In a process of its own, so that what it imports is not there yet when the time of the imports is taken.
    command = [sys.executable, "-m", "examples.digits.data", str(root / "data")]
    if status := subprocess.run(command, check=False).returncode:
        return status

    start = time.monotonic()
    _import_all()
    imported = time.monotonic()
    step_seconds = _run(root)
    end = time.monotonic()

    versions = sorted(path.name for path in (root / "serving").glob("*"))
    figures = {
        "total_seconds": round(end - start, 2),
        "import_seconds": round(imported - start, 2),
        "step_seconds": step_seconds,
        "pushed_versions": versions,
    }
    print(json.dumps(figures))
    return 0 if versions else 1


if __name__ == "__main__":
    sys.exit(main())
