"""Wrong options, data and environments: the one message there is, as early as it can be, and nothing is published."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penstock.components.trainer.request import SplitFiles, TrainRequest
from penstock.errors import PenstockError
from tests.components.trainer.data import ToyData, separable_rows, write_shard
from tests.components.trainer.telling import NO_FILES, Telling, telling


@pytest.fixture
def told(request_for: Callable[..., TrainRequest], user_module: Callable[[str], str], tmp_path: Path) -> Telling:
    return telling(request_for, user_module, tmp_path)


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        (
            {"name": "mirrored", "cross_device_ops": "nccl"},
            (
                "NCCL sums gradients between GPUs, and TensorFlow sees none\n"
                "  received: strategy.cross_device_ops: nccl\n"
                "  expected: at least one GPU\n"
                "  next: set strategy.cross_device_ops: hierarchical_copy"
            ),
        ),
        (
            {"name": "mirrored", "devices": ["cpu:0", "cpu:1"]},
            (
                "there is no device 'cpu:1'\n"
                "  received: strategy devices cpu:0, cpu:1\n"
                "  expected: some of cpu:0\n"
                "  next: runtime.logical_devices.cpu makes more CPUs"
            ),
        ),
        (
            {"name": "central_storage", "compute_devices": ["banana"]},
            "there is no device 'banana'\n  received: strategy compute_devices banana\n  expected: some of cpu:0",
        ),
        (
            {"name": "mirrored", "devices": ["cpu:0", "/device:CPU:0"]},
            (
                "device 'cpu:0' is named more than once\n"
                "  received: strategy devices cpu:0, /device:CPU:0\n"
                "  expected: a device of its own for each replica"
            ),
        ),
    ],
)
def test_devices_are_looked_for_before_data_is_read(told: Telling, strategy: dict[str, Any], message: str) -> None:
    assert told({"files": NO_FILES}, strategy=strategy) == message


@pytest.mark.parametrize(
    ("runtime", "received", "expected"),
    [
        ({"logical_devices": {"cpu": 3}}, "1 logical CPU(s)", "3 logical CPUs"),
        ({"inter_op_threads": 3}, "its own number of threads", "runtime.inter_op_threads: 3"),
        ({"intra_op_threads": 5}, "its own number of threads", "runtime.intra_op_threads: 5"),
    ],
)
def test_settings_that_come_too_late(told: Telling, runtime: dict[str, Any], received: str, expected: str) -> None:
    import tensorflow as tf

    tf.constant(1.0)
    assert told({"files": NO_FILES}, runtime=runtime) == (
        "devices, memory and threads must be set before TensorFlow starts\n"
        f"  received: a process in which TensorFlow runs with {received}\n"
        f"  expected: {expected}\n"
        "  next: run the step in a process of its own, or create no tensor when a module is imported"
    )


@pytest.mark.parametrize("split", ["train", "eval"])
def test_an_empty_split(told: Telling, toy: ToyData, tmp_path: Path, split: str) -> None:
    empty = (write_shard(tmp_path / "data" / "empty.gz", []),)
    train, evaluation = (empty, toy.evaluation) if split == "train" else (toy.train, empty)
    assert told({"files": SplitFiles(train, evaluation, toy.evaluation)}, model_fn="model.failing") == (
        f"/data: split '{split}' is empty\n"
        "  received: no row in 1 file\n"
        "  expected: at least one tf.Example\n"
        "  next: look at the split's share in the ExampleGen step's output_config"
    )


def test_a_label_outside_the_classes(told: Telling, toy: ToyData, tmp_path: Path) -> None:
    rows = [{**row, "label": [5]} for row in separable_rows(4, seed=4)]
    file = (write_shard(tmp_path / "five.gz", rows),)
    assert told({"files": SplitFiles(file, toy.evaluation, toy.evaluation)}) == (
        "training stopped: Received a label value of 5 which is outside the valid range of [0, 2).  "
        "Label values: 5 5 5 5\n"
        "  received: label 'label', outputs scores (None, 2)\n"
        "  next: label 'label' holds a value that is no class of the model's output"
    )


def test_a_metric_to_watch_that_is_none_is_told_before_training(told: Telling) -> None:
    options: dict[str, Any] = {"steps": None, "epochs": 1, "callbacks_fn": "model.callback_that_fails"}
    text = told(early_stopping={"monitor": "val_acuracy"}, **options)
    assert text == (
        "early_stopping watches 'val_acuracy', and the model has no such metric\n"
        "  received: early_stopping.monitor 'val_acuracy'\n"
        "  expected: one of loss, accuracy, val_loss, val_accuracy\n"
        "  next: did you mean 'val_accuracy'?"
    )


def plan(workers: int, replicas: int, rows_per_file: tuple[int, ...], **options: Any) -> str:
    """Return what is said of the batches of a training on files of so many rows."""
    from penstock.components.trainer.batches import Splits, make_plan
    from penstock.components.trainer.config import TrainerConfig
    from penstock.components.trainer.place import Place
    from penstock.components.trainer.records import Split

    split = Split(tuple(f"file-{number}" for number in range(len(rows_per_file))), rows_per_file)
    config = TrainerConfig.model_validate({"model_fn": "model.build", "label": "label", **options})
    with pytest.raises(PenstockError) as caught:
        make_plan(config, replicas, Place(workers=workers), Splits(split, split))
    return str(caught.value)


def test_a_batch_that_cannot_be_split_is_told_before_the_model_is_made() -> None:
    assert plan(1, 3, (2,)) == (
        "a batch that cannot be split: 2 rows for 3 replicas\n"
        "  received: a split of 2 rows\n"
        "  expected: at least 3 rows\n"
        "  next: train with fewer replicas or more data"
    )
    assert plan(1, 8, (100,), batch_size=16, strategy="tpu") == (
        "a batch that cannot be split: 100 rows for 8 replicas\n"
        "  received: a split of 100 rows\n"
        "  expected: at least 128 rows, a full batch of 16 for each replica\n"
        "  next: train with fewer replicas, a smaller batch_size or more data"
    )


def test_more_workers_than_files_are_told_before_the_model_is_made() -> None:
    strategy = {"name": "multi_worker_mirrored", "workers": 3}
    assert plan(3, 3, (64, 0, 64), strategy=strategy, input={"autoshard": "file"}) == (
        "split 'train' cannot be shared out by files: 2 files for 3 workers\n"
        "  received: 2 files with rows\n"
        "  expected: at least 3, one for each worker\n"
        "  next: set input.autoshard to data, or let the ExampleGen step write more shards"
    )


CLUSTER = {"worker": ["127.0.0.1:{port}", "127.0.0.1:1"]}


@pytest.mark.parametrize("strategy", ["multi_worker_mirrored", "parameter_server"])
@pytest.mark.parametrize(
    ("tf_config", "message"),
    [
        (
            '{"cluster":',
            (
                "TF_CONFIG is not JSON: Expecting value: line 1 column 12 (char 11)\n"
                "  received: '{\"cluster\":'\n"
                "  expected: a JSON object\n"
                "  next: correct TF_CONFIG, or unset it: Penstock then starts the tasks on this machine"
            ),
        ),
        (
            json.dumps({"cluster": CLUSTER, "task": {"type": "worker", "index": 2}}).replace("{port}", "2"),
            (
                "TF_CONFIG lacks this task\n"
                "  received: type worker, index 2\n"
                "  expected: one of worker 0, worker 1\n"
                "  next: correct TF_CONFIG, or unset it: Penstock then starts the tasks on this machine"
            ),
        ),
    ],
)
def test_a_cluster_that_is_not_described(
    told: Telling, monkeypatch: pytest.MonkeyPatch, strategy: str, tf_config: str, message: str
) -> None:
    monkeypatch.setenv("TF_CONFIG", tf_config)
    assert told({"files": NO_FILES}, strategy=strategy) == message


def test_a_port_that_is_taken(told: Telling, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        described = json.dumps({"cluster": CLUSTER, "task": {"type": "worker", "index": 0}})
        monkeypatch.setenv("TF_CONFIG", described.replace("{port}", str(port)))
        text = told({"files": NO_FILES}, strategy="multi_worker_mirrored")
    told_holder = re.sub(r"; .* \(process \d+\) listens", "; somebody listens", text)
    assert told_holder == (
        f"worker 0: port {port} is already in use\n"
        f"  received: address 127.0.0.1:{port}; somebody listens on the port\n"
        "  expected: a free port\n"
        "  next: end the process that uses it, or give the task another port"
    )


def test_a_strategy_of_one_machine_in_a_cluster(told: Telling, monkeypatch: pytest.MonkeyPatch) -> None:
    described = json.dumps({"cluster": CLUSTER, "task": {"type": "worker", "index": 0}}).replace("{port}", "2")
    monkeypatch.setenv("TF_CONFIG", described)
    assert told({"files": NO_FILES}, strategy="default") == (
        "strategy 'default' trains on one machine: each task of the cluster would train the same model\n"
        "  received: a cluster of 2 workers\n"
        "  expected: no TF_CONFIG and no CLUSTER_SPEC of several tasks\n"
        "  next: set strategy: multi_worker_mirrored or parameter_server, or run the step on one machine"
    )


def test_a_checkpoint_of_another_architecture(told: Telling, tmp_path: Path) -> None:
    """The model depends on what the configuration does not hold, so that a checkpoint of another one is found."""
    checkpoints, units = tmp_path / "checkpoints", tmp_path / "project" / "units"
    options = {"model_fn": "model.from_a_file", "checkpoint": {"every_steps": 1}, "steps": 2}
    units.write_text("4")
    first = told({"checkpoints": checkpoints}, callbacks_fn="model.callback_that_fails", **options)
    assert first.startswith("callbacks_fn 'model.callback_that_fails': on_epoch_end raised LookupError")
    units.write_text("6")
    assert told({"checkpoints": checkpoints}, **options) == (
        "/checkpoints/step-00000001: the checkpoint is of another architecture than the model that model_fn returns "
        "now\n"
        "  received: float32[2, 4]\n"
        "  expected: float32[2, 6] for variable 0, 'wide/kernel:0'\n"
        "  next: remove /checkpoints to begin again from the start"
    )


def test_a_warm_start_from_what_is_no_model(told: Telling, tmp_path: Path) -> None:
    file = tmp_path / "old.keras"
    assert told({"base_model": file}) == (
        "/old.keras: warm_start: the weights cannot be read: FileNotFoundError: [Errno 2] No such file or directory: "
        "'/old.keras'\n"
        "  expected: a .keras file, as the Trainer writes it"
    )


def test_an_operation_that_is_not_deterministic() -> None:
    """Raised here, not run: deterministic operations cannot be switched off again."""
    import tensorflow as tf

    from penstock.components.trainer.config import TrainerConfig
    from penstock.components.trainer.training_errors import training_errors

    options = {"model_fn": "model.build", "label": "label", "runtime": {"deterministic": True}}
    refused = tf.errors.FailedPreconditionError(None, None, "Timestamp cannot be called when determinism is enabled")
    with pytest.raises(PenstockError) as caught, training_errors(None, TrainerConfig.model_validate(options)):
        raise refused
    told, _, lines = str(caught.value).partition("\n  your code:\n")
    assert lines.endswith("raise refused")
    assert told == (
        "the model of 'model.build' uses an operation that has no deterministic form: Timestamp cannot be called when "
        "determinism is enabled\n"
        "  received: runtime.deterministic: true\n"
        "  next: use another operation, or leave runtime.deterministic out"
    )
