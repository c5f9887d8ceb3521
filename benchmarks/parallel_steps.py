"""What running independent steps side by side saves: ``python -m benchmarks.parallel_steps [--rounds N]``.

The digits pipeline with a second Trainer and Evaluator that do not depend on the first: two steps at a time beside one,
alternating, each on a fresh root.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

OVERLAY = """
extends: {repository}/configs/digits.yaml
pipeline: digits-two
root: {root}
steps:
  examples: {{with: {{input_base: {data}}}}}
  second:
    component: Trainer
    inputs:
      examples: examples.examples
      transformed_examples: transform.transformed_examples
      transform_graph: transform.transform_graph
      schema: schema.schema
    with: {{model_fn: examples.digits.model.build_model, label: label, epochs: 5, hparams: {hparams}}}
  evaluator: {{inputs: {{model: trainer.model}}}}
  second_evaluator:
    component: Evaluator
    inputs: {{model: second.model, examples: examples.examples}}
    with: {{eval_config: {{model_specs: [{{signature_name: serving_default, label_key: label}}], metrics_specs: []}}}}
  pusher: {{inputs: {{model: trainer.model, model_blessing: evaluator.blessing}}}}
"""
HPARAMS = "{units: 64, learning_rate: 0.006}"
REPOSITORY = Path(__file__).parents[1]


def run(folder: Path, jobs: int) -> float:
    """Run the pipeline and return the seconds from the end of the start-up to the end of the last step."""
    # The folder is the project, and the examples are part of it.
    file = folder / f"two-{jobs}.yaml"
    text = OVERLAY.format(repository=REPOSITORY, root=folder / f"root-{jobs}", data=folder / "data", hparams=HPARAMS)
    (folder / "pyproject.toml").touch()
    (folder / "examples").symlink_to(REPOSITORY / "examples")
    file.write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "penstock", "run", str(file), "--json", "--jobs", str(jobs)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(ended.stdout + ended.stderr)
    report = json.loads(ended.stdout)
    return float(report["seconds"]) - float(report["start_up_seconds"])


def main(argv: Sequence[str] | None = None) -> int:
    """Run both in turn and print one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parallel_steps", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each")
    rounds = parser.parse_args(argv).rounds
    seconds: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(rounds):
        for jobs, figures in seconds.items():
            with tempfile.TemporaryDirectory(prefix="penstock-benchmark-") as folder:
                data = [sys.executable, "-m", "examples.digits.data", f"{folder}/data"]
                subprocess.run(data, check=True, capture_output=True)
                figures.append(run(Path(folder), jobs))
    medians = {jobs: statistics.median(figures) for jobs, figures in seconds.items()}
    print(
        json.dumps(
            {
                "workload": "digits with two Trainers and two Evaluators, start-up left out",
                "rounds": rounds,
                "machine": f"{os.cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}",
                "one_at_a_time_seconds": round(medians[1], 2),
                "two_at_a_time_seconds": round(medians[2], 2),
                "vs_one_at_a_time": round(medians[2] / medians[1], 2),
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
