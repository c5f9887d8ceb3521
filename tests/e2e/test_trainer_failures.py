"""A Trainer that fails, as its user meets it: the command's exit code, the step's error, and what is left behind."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import Project
from tests.e2e.conftest import penstock, run, states

CODE = """
def build(context):
    return fail(context.num_workers)


def fail(workers):
    raise LookupError(f"no model for {workers} workers")


def build_linear(context):
    keras = context.keras
    inputs = {"x": keras.Input((1,), name="x")}
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs["x"]))
    model.compile("adam", "mse")
    return model


def build_what_fails(context):
    keras = context.keras

    class Layer(keras.layers.Layer):
        def call(self, x, training=False):
            return fail(context.num_workers) if training else x

    inputs = {"x": keras.Input((1,), name="x")}
    model = keras.Model(inputs, keras.layers.Dense(2, name="scores")(Layer()(inputs["x"])))
    model.compile("adam", "mse")
    return model
"""
RESUMED = """
from pathlib import Path


def build(context):
    keras = context.keras
    inputs = {"x": keras.Input((1,), name="x")}
    hidden = keras.layers.Dense(int(Path("units").read_text()), name="wide")(inputs["x"])
    model = keras.Model(inputs, keras.layers.Dense(1)(hidden))
    model.compile("adam", "mse")
    return model


def callbacks(context):
    class Stop(context.keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if Path("stop").exists():
                raise KeyError("stopped")

    return [Stop()]
"""
SLOW = """
import time
from pathlib import Path

from model import build_linear as build


def callbacks(context):
    class Nap(context.keras.callbacks.Callback):
        batches = 0

        def on_train_batch_end(self, batch, logs=None):
            # Long enough for who looks for the first checkpoint, which is written after two batches.
            self.batches += 1
            time.sleep(0 if Path("hurry").exists() else 0.3 if self.batches < 4 else 600)

    return [Nap()]
"""
STEPS = """
  examples: {component: CsvExampleGen, with: {input_base: data}}
  schema: {component: ImportSchemaGen, with: {schema_file: schema.pbtxt}}
"""
SCHEMA = """
feature { name: "x" type: FLOAT presence { min_fraction: 1 min_count: 1 } shape { dim { size: 1 } } }
feature { name: "label" type: INT presence { min_fraction: 1 min_count: 1 } shape { dim { size: 1 } } }
"""


def trainer(name: str, **options: Any) -> str:
    config = json.dumps({"label": "label", "model_fn": "model.build", **options})
    inputs = "{examples: examples.examples, schema: schema.schema}"
    return f"  {name}: {{component: Trainer, inputs: {inputs}, with: {config}}}\n"


@pytest.fixture
def user(project: Project) -> Project:
    project.write("model.py", CODE)
    project.write("schema.pbtxt", SCHEMA)
    project.write("data/rows.csv", "x,label\n" + "".join(f"{number / 60},{number % 2}\n" for number in range(60)))
    return project


def processes_in(folder: Path) -> list[list[str]]:
    """Return the commands of the processes that work in a folder, after those that are about to end."""
    others = [process for process in psutil.process_iter(["cwd"]) if process.info["cwd"] == str(folder)]
    _, alive = psutil.wait_procs([process for process in others if process.pid != os.getpid()], timeout=120)
    return [process.cmdline() for process in alive]


def failures(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return step → error of the steps that failed."""
    return {step["name"]: step["error"] for step in report["steps"] if step["state"] == "failed"}


def lines_of(error: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Return the user's lines that an error shows."""
    return [(Path(frame["file"]).name, frame["function"], frame["source"]) for frame in error["frames"]]


def test_wrong_options_are_told_all_at_once_before_anything_is_run(user):
    file = user.pipeline(
        STEPS
        + trainer("servers", strategy={"name": "parameter_server", "ps": 0}, precision="half")
        + trainer("memory", strategy="parameter_server", input={"cache": "memory"})
        + trainer("name", strategy="mirored")
        + trainer("start", warm_start={"from": "latest_blessed"})
    )
    ended = penstock("run", str(file), cwd=user.folder)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stdout + ended.stderr
    for said in (
        "expected more than 0, received the integer 0 at steps.servers.with.strategy.ps",
        "received the text 'half' at steps.servers.with.precision",
        "steps.memory.with: input.cache: memory would keep the rows in the coordinator",
        "steps.name.with.strategy: unknown strategy 'mirored'; allowed: default, one_device, mirrored, ",
        "step 'start' starts from the latest blessed model, and no step looks it up",
        "5 problems in p.yaml; nothing was run.",
    ):
        assert said in ended.stderr
    assert not (user.folder / "runs").exists()


def test_user_code_that_fails_in_a_cluster_is_told_as_in_one_process(user):
    """Once, with the user's lines and the task that ran them; the other tasks are ended, and nothing is published."""
    cluster, servers = {"name": "multi_worker_mirrored", "workers": 2}, {"name": "parameter_server", "workers": 1}
    file = user.pipeline(
        STEPS
        + trainer("alone")
        + trainer("servers", strategy=servers)
        + trainer("layer", strategy=cluster, max_restarts=3, model_fn="model.build_what_fails")
        + trainer("keras2", keras="tf_keras", model_fn="model.build_what_fails")
    )
    report = run(file, "--jobs", "1", expect=1, cwd=user.folder)
    assert processes_in(user.folder) == []
    assert set(states(report).values()) == {"ran", "failed"}
    errors = failures(report)
    assert {name: error["what"] for name, error in errors.items()} == {
        "alone": "model_fn 'model.build' raised LookupError: no model for 1 workers",
        "servers": "model_fn 'model.build' raised LookupError: no model for 1 workers",
        "layer": "the model of 'model.build_what_fails' raised LookupError: no model for 2 workers (in Layer.call())",
        "keras2": "the model of 'model.build_what_fails' raised LookupError: no model for 1 workers "
        "(in layer 'layer' (type Layer))",
    }
    end = ("model.py", "fail", 'raise LookupError(f"no model for {workers} workers")')
    for name in ("alone", "servers"):
        assert lines_of(errors[name]) == [("model.py", "build", "return fail(context.num_workers)"), end]
    for name in ("layer", "keras2"):
        assert lines_of(errors[name]) == [
            ("model.py", "call", "return fail(context.num_workers) if training else x"),
            end,
        ]
    assert errors["alone"]["where"] is None
    assert errors["layer"]["where"] in ("worker 0", "worker 1")
    assert errors["servers"]["where"] == "chief 0"
    for name in errors:
        assert not list((user.folder / "runs" / name / "model").iterdir())


def test_a_cluster_that_lacks_this_task_is_told_before_anything_is_run(user, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["127.0.0.1:1"]}, "task": {"type": "worker", "index": 4}}')
    report = run(user.pipeline(STEPS + trainer("trainer", strategy="parameter_server")), expect=1, cwd=user.folder)
    assert report == {
        "error": {
            "cause": "environment",
            "what": "TF_CONFIG lacks this task",
            "where": None,
            "received": "type worker, index 4",
            "expected": "one of worker 0",
            "hint": "correct TF_CONFIG, or unset it: Penstock then starts the tasks on this machine",
        }
    }
    assert not (user.folder / "runs").exists()


def test_a_run_that_is_killed_in_training_goes_on_and_leaves_nothing_behind(user):
    """Also from one that is killed after training, before the step is recorded: see ``recording`` in runners/jobs."""
    user.write("slow.py", SLOW)
    options = {"model_fn": "slow.build", "callbacks_fn": "slow.callbacks", "batch_size": 8, "epochs": 4}
    file = user.pipeline(STEPS + trainer("trainer", **options, checkpoint={"every_steps": 2}))
    process = subprocess.Popen([sys.executable, "-m", "penstock", "run", str(file)], cwd=user.folder)
    checkpoints = user.folder / "runs/trainer/.checkpoints"
    deadline = time.monotonic() + 300
    while not list(checkpoints.glob("*/step-*")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert processes_in(user.folder) == []

    user.write("hurry", "")
    report = run(file, cwd=user.folder)
    assert states(report)["trainer"] == "ran"
    (told,) = (user.folder / "runs/trainer/model_run").glob("*/training_report.json")
    course = json.loads(told.read_text())["course"]
    assert course["resumed_from_step"] > 0
    assert course["resumed_from_step"] < course["steps"]
    assert not checkpoints.exists()


def test_a_checkpoint_of_another_architecture_and_its_remedy(user):
    """``model_fn`` depends on a file, which no fingerprint of the training has."""
    user.write("resumed.py", RESUMED)
    options = {"model_fn": "resumed.build", "callbacks_fn": "resumed.callbacks", "checkpoint": {"every_steps": 1}}
    file = user.pipeline(STEPS + trainer("trainer", batch_size=8, **options))
    user.write("units", "4")
    user.write("stop", "")
    (first,) = failures(run(file, expect=1, cwd=user.folder)).values()
    assert first["what"] == "callbacks_fn 'resumed.callbacks': on_epoch_end raised KeyError: 'stopped'"

    user.write("units", "6")
    (user.folder / "stop").unlink()
    (second,) = failures(run(file, expect=1, cwd=user.folder)).values()
    assert second["what"] == "the checkpoint is of another architecture than the model that model_fn returns now"
    assert (second["received"], second["expected"]) == (
        "float32[1, 4]",
        "float32[1, 6] for variable 0, 'wide/kernel:0'",
    )
    (folder,) = re.findall("remove (.*) to begin again from the start", second["hint"])
    assert Path(second["where"]).parent == Path(folder)

    shutil.rmtree(folder)
    assert states(run(file, cwd=user.folder))["trainer"] == "ran"
