"""What ``penstock compile`` costs as a pipeline grows: ``python -m benchmarks.compile [--rounds N] [--steps N …]``.

Pipelines of branches that each describe, check, train and judge on the same examples, one branch after the other. CPU
seconds of this process, TFX imported before, the fastest of the rounds: other work on the machine only adds to it. The
limit is linear growth: the cost of one more step, between the two largest pipelines, as a share of that between the two
smallest. Beside ours, ``tfx``: TFX's own compiler on the same components, which no file and no check precedes.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import os
import platform
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

TOP = """
pipeline: many
root: gs://bucket/many
vars: {epochs: 5}
kubeflow: {image: "registry/team/many:1", retries: 2}
steps:
  examples: {component: CsvExampleGen, with: {input_base: gs://bucket/data}}
"""
BRANCH = """
  statistics_N: {component: StatisticsGen, inputs: {examples: examples.examples}AFTER}
  schema_N: {component: SchemaGen, inputs: {statistics: statistics_N.statistics}}
  validator_N:
    component: ExampleValidator
    inputs: {statistics: statistics_N.statistics, schema: schema_N.schema}
  trainer_N:
    component: Trainer
    inputs: {examples: examples.examples, schema: schema_N.schema}
    with: {model_fn: code.build_model, label: label, epochs: "${vars.epochs}"}
  evaluator_N:
    component: Evaluator
    inputs: {examples: examples.examples, model: trainer_N.model, schema: schema_N.schema}
    with: {eval_config: {model_specs: [{label_key: label}], metrics_specs: [{metrics: [{class_name: AUC}]}]}}
"""
STEPS = (10, 100, 500)


def config(steps: int) -> str:
    """Return a pipeline file with so many steps."""
    return TOP + "".join(itertools.islice(_lines(), steps - 1))


def _lines() -> Iterator[str]:
    """Yield the steps after the first, one text each."""
    for number in itertools.count():
        after = f", after: [evaluator_{number - 1}]" if number else ""
        branch = BRANCH.replace("_N", f"_{number}").replace("AFTER", after)
        yield from (f"  {step}\n" for step in re.split(r"\n  (?=\w)", branch.rstrip("\n"))[1:])


def phases(file: Path) -> tuple[dict[str, float], int, int]:
    """Compile a file and return the CPU seconds of each phase, the file's bytes and the number of tasks."""
    from penstock.pipelines.kubeflow import compile_pipeline
    from penstock.pipelines.resolve import check

    clock = time.process_time
    gc.collect()
    began = clock()
    loaded, _ = check(file)
    checked = clock()
    compiled = compile_pipeline(loaded)
    built = clock()
    text = compiled.to_yaml()
    seconds = {"check": checked - began, "compile": built - checked, "write": clock() - built}
    return seconds, len(text.encode()), len(compiled.spec["root"]["dag"]["tasks"])


def of_tfx(file: Path) -> Callable[[], float]:
    """Return what compiles the file's components with TFX's own compiler and returns its CPU seconds."""
    from tfx.orchestration.kubeflow.v2.kubeflow_v2_dag_runner import KubeflowV2DagRunner, KubeflowV2DagRunnerConfig
    from tfx.orchestration.pipeline import Pipeline

    from penstock.pipelines.build import build_nodes
    from penstock.pipelines.resolve import check

    def compile_once() -> float:
        nodes: list[Any] = list(build_nodes(check(file)[1]).values())
        gc.collect()
        began = time.process_time()
        pipeline = Pipeline(pipeline_name="many", pipeline_root="gs://bucket/many", components=nodes)
        runner = KubeflowV2DagRunner(KubeflowV2DagRunnerConfig(default_image="i", use_pipeline_spec_2_1=True))
        runner.run(pipeline, write_out=False)
        return time.process_time() - began

    return compile_once


def growth(steps: Sequence[int], values: Sequence[float]) -> float:
    """Return the cost of a step between the two largest pipelines over that between the two smallest."""
    slopes = [
        (after - before) / (more - fewer)
        for (fewer, before), (more, after) in itertools.pairwise(zip(steps, values, strict=True))
    ]
    return slopes[-1] / slopes[0]


def main(argv: Sequence[str] | None = None) -> int:
    """Compile pipelines of each size in turn and print one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compile", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="timed rounds")
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS, help="steps of each pipeline, ascending")
    arguments = parser.parse_args(argv)
    import penstock.pipelines.runners.preload  # noqa: F401  Everything that a worker has imported.

    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        (project / "pyproject.toml").touch()
        (project / "code.py").write_text("def build_model(context): ...\n", encoding="utf-8")
        sys.path.insert(0, folder)
        figures = {steps: _measured(project, steps, arguments.rounds) for steps in arguments.steps}
    print(
        json.dumps(
            {
                "workload": "penstock compile of branches of 5 steps each, one after the other",
                "rounds": arguments.rounds,
                "machine": f"{os.cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}",
                "steps": figures,
                "growth": {
                    name: round(growth(arguments.steps, [each[name] for each in figures.values()]), 2)
                    for name in ("seconds", "bytes", "tfx_seconds")
                },
                "demanded": {"growth": 1.0},
            }
        )
    )
    return 0


def _measured(project: Path, steps: int, rounds: int) -> dict[str, Any]:
    file = project / f"{steps}.yaml"
    file.write_text(config(steps), encoding="utf-8")
    phases(file)  # What is read or imported once is no cost of a step.
    found = [phases(file) for _ in range(rounds)]
    seconds, size, tasks = min(found, key=lambda each: sum(each[0].values()))
    if tasks != steps:
        raise SystemExit(f"{tasks} tasks for {steps} steps")
    tfx = of_tfx(file)
    return {
        "seconds": round(sum(seconds.values()), 4),
        "of_which": {name: round(value, 4) for name, value in seconds.items()},
        "bytes": size,
        "tfx_seconds": round(min(tfx() for _ in range(rounds)), 4),
    }


if __name__ == "__main__":
    sys.exit(main())
