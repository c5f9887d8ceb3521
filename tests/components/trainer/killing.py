"""Trainings in processes of their own, and how to kill them: ``python -m tests.components.trainer.killing FOLDER …``.

The user's code of these trainings is here too: a model with all kinds of state (moving statistics, random numbers,
slots), and a callback that writes a journal and takes its time, so that there is a moment to kill.
"""

from __future__ import annotations

import io
import itertools
import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from penstock.components.trainer.config import TrainerConfig
from penstock.components.trainer.request import SplitFiles, TrainRequest, from_json, to_json
from penstock.errors import PenstockError
from tests.components.trainer.data import ToyData

if TYPE_CHECKING:
    from numpy.typing import NDArray

EPOCHS, STEPS_PER_EPOCH, EVERY_STEPS = 6, 16, 5
STEPS = EPOCHS * STEPS_PER_EPOCH

_MODULE = "tests.components.trainer.killing"
_REPOSITORY = Path(__file__).parents[3]
_PATIENCE_SECONDS = 240.0


def build(context: Any) -> Any:
    """Return a model with moving statistics, random numbers and an optimizer's slots."""
    keras = context.keras
    inputs = {"point": context.inputs()["point"]}
    hidden = keras.layers.Dense(8, activation="tanh")(inputs["point"])
    dropped = keras.layers.Dropout(0.3)(keras.layers.BatchNormalization()(hidden))
    model = keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(dropped))
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def callbacks(context: Any) -> Any:
    """Return a callback that writes the journal, sleeps ``nap`` s a call, and fails once, at the line ``fail_at``."""
    hparams = context.hparams
    task = json.loads(os.environ.get("TF_CONFIG", "{}")).get("task", {"index": 0})

    class Journal(context.keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_begin(self, logs: Any = None) -> None:
            self._write(f"from {int(self.model.optimizer.iterations.numpy())}")

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self._write(f"batch {batch}")
            time.sleep(hparams.get("nap", 0))

        def _write(self, line: str) -> None:
            if task["index"] > 0:
                return
            with Path(hparams.journal).open("a+", encoding="utf-8") as file:
                file.write(f"{line}\n")
                file.seek(0)
                if len(file.readlines()) == hparams.get("fail_at"):
                    raise RuntimeError("a test made this callback fail")

    return Journal()


def toy_request(folder: Path, toy: ToyData, with_: Mapping[str, Any]) -> TrainRequest:
    """Return a training of :data:`STEPS` steps on the toy data.

    Args:
        folder: A folder that does not exist, for all files of the training.
        toy: The data.
        with_: Added to its configuration.
    """
    folder.mkdir(parents=True)
    given = {
        "model_fn": f"{_MODULE}.build",
        "callbacks_fn": f"{_MODULE}.callbacks",
        "label": "label",
        "batch_size": 256 // STEPS_PER_EPOCH,
        "epochs": EPOCHS,
        "checkpoint": {"every_steps": EVERY_STEPS},
        "steps_per_execution": 1,
        "input": {"shuffle_buffer": 60},
        **with_,
        "hparams": {"journal": str(folder / "journal"), **with_.get("hparams", {})},
    }
    return TrainRequest(
        config=TrainerConfig.model_validate(given),
        files=SplitFiles(toy.train, toy.evaluation, toy.evaluation),
        saved_model=folder / "model" / "Format-Serving",
        keras_file=folder / "model" / "Format-Keras" / "model.keras",
        run_folder=folder / "run",
        schema=toy.schema,
        checkpoints=folder / "checkpoints",
    )


@dataclass(frozen=True)
class Course:
    """An attempt at a training: the step that it began after, and the steps that it took, counts."""

    start: int
    steps: int


def courses(request: TrainRequest) -> list[Course]:
    """Return the attempts, as the journal tells them of a training with one step a call."""
    journal = Path(str(request.config.hparams["journal"]))
    found: list[Course] = []
    for line in journal.read_text(encoding="utf-8").splitlines() if journal.exists() else []:
        kind, _, number = line.partition(" ")
        found.append(Course(int(number), 0) if kind == "from" else Course(found[-1].start, found.pop().steps + 1))
    return found


def most_redone(request: TrainRequest) -> int:
    """Return the most steps that an attempt took once more after the one before it, a count."""
    found = courses(request)
    pairs = itertools.pairwise(found)
    return max((before.start + before.steps - after.start for before, after in pairs), default=0)


def weights(request: TrainRequest) -> dict[str, NDArray[Any]]:
    """Return all that the ``.keras`` file holds by name, the optimizer's state included."""
    import h5py

    found: dict[str, NDArray[Any]] = {}

    def keep(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = item[()]

    with zipfile.ZipFile(request.keras_file) as archive:
        content = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(content) as file:
        file.visititems(keep)
    return found


def differences(one: TrainRequest, other: TrainRequest) -> dict[str, float]:
    """Return the largest difference of each array in which two trained models are not the same, byte by byte."""
    import numpy as np

    left, right = weights(one), weights(other)
    assert left.keys() == right.keys()
    return {
        name: float(np.max(np.abs(left[name].astype(np.float64) - right[name].astype(np.float64))))
        for name in left
        if left[name].tobytes() != right[name].tobytes()
    }


def course(request: TrainRequest) -> dict[str, Any]:
    """Return the part of the report that says what happened on the way."""
    report = json.loads((request.run_folder / "training_report.json").read_text(encoding="utf-8"))
    found: dict[str, Any] = report["course"]
    return found


def history(request: TrainRequest) -> dict[str, list[float]]:
    """Return the metrics of each epoch."""
    found: dict[str, list[float]] = json.loads((request.run_folder / "history.json").read_text(encoding="utf-8"))
    return found


def steps_saved(request: TrainRequest) -> list[int]:
    """Return the steps of the checkpoints that there are."""
    return sorted(int(path.name.removeprefix("step-")) for path in Path(str(request.checkpoints)).glob("step-*"))


def half_written(request: TrainRequest) -> list[str]:
    """Return what has its final name and is not whole: checkpoints, the SavedModel, the ``.keras`` file."""
    found = []
    for folder in Path(str(request.checkpoints)).glob("[!.]*"):
        names = sorted(path.name for path in folder.iterdir())
        shards = sum(name.startswith("state.data-") for name in names)
        whole = [f"state.data-{shard:05d}-of-{shards:05d}" for shard in range(shards)] + ["state.index"]
        if not shards or names != (["position.json", *whole] if folder.name.startswith("step-") else whole):
            found.append(f"{folder.name}: {', '.join(names)}")
    if request.saved_model.exists() and not (request.saved_model / "fingerprint.pb").exists():
        found.append(request.saved_model.name)
    if request.keras_file.exists() and not zipfile.is_zipfile(request.keras_file):
        found.append(request.keras_file.name)
    return found


class Attempt:
    """A process that trains, and those that it starts; it goes on from the last checkpoint if there is one.

    Args:
        requests: Trainings of :func:`toy_request`, to be done one after the other.
    """

    def __init__(self, *requests: TrainRequest) -> None:
        folders = [request.run_folder.parent for request in requests]
        for folder, request in zip(folders, requests, strict=True):
            (folder / "request.json").write_text(to_json(request), encoding="utf-8")
        self._temporary = folders[0] / "tmp"
        self._temporary.mkdir(exist_ok=True)
        self._output = folders[0] / "output"
        with self._output.open("wb") as file:
            self._process = psutil.Popen(
                [sys.executable, "-m", _MODULE, *map(str, folders)],
                cwd=_REPOSITORY,
                env={**os.environ, "TMPDIR": str(self._temporary), "TF_CPP_MIN_LOG_LEVEL": "3"},
                stdout=file,
                stderr=subprocess.STDOUT,
            )

    @property
    def output(self) -> str:
        """What the process printed."""
        return self._output.read_text(encoding="utf-8", errors="replace")

    def runs(self) -> bool:
        """Whether the process runs still."""
        return self._process.poll() is None

    def all(self) -> list[psutil.Process]:
        """Return the process and all others of the training that run, even if nobody is their parent any more."""
        environments = {process: _environment(process) for process in psutil.process_iter()}
        ours = str(self._temporary)
        return [process for process, found in environments.items() if found.get("TMPDIR", "").startswith(ours)]

    def tasks(self) -> dict[str, psutil.Process]:
        """Return the processes of the cluster's tasks that run, by name: ``worker-1``."""
        places = {process: json.loads(_environment(process).get("TF_CONFIG", "{}")) for process in self.all()}
        return {
            f"{place['task']['type']}-{place['task']['index']}": process for process, place in places.items() if place
        }

    def wait_until(self, condition: Callable[[], object]) -> None:
        """Wait for a moment of the training; it must not end before."""
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not condition():
            assert self.runs(), self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.005)

    def kill(self, task: str | None = None) -> None:
        """End a task with SIGKILL, or the process that was started."""
        if task is None:
            self._process.kill()
            return
        found: list[psutil.Process] = []

        def seen() -> bool:
            # A process that has just started has no environment yet that could be looked into.
            found.extend(process for name, process in self.tasks().items() if name == task)
            return bool(found)

        self.wait_until(seen)
        found[0].kill()

    def wait(self) -> int:
        """Wait for the end; return how many trainings failed, or the signal's number, negative."""
        return int(self._process.wait(_PATIENCE_SECONDS))


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        found: dict[str, str] = {} if process.status() == psutil.STATUS_ZOMBIE else process.environ()
    except psutil.Error:
        return {}
    return found


def main(folders: list[Path]) -> int:
    """Train what each folder's ``request.json`` says, one after the other; return how many failed."""
    from penstock.components.trainer.train import train

    failed = 0
    for folder in folders:
        try:
            train(from_json((folder / "request.json").read_text(encoding="utf-8")))
        except PenstockError as error:
            failed += 1
            sys.stdout.write(f"{error}\n")
    return failed


if __name__ == "__main__":
    sys.exit(main([Path(name) for name in sys.argv[1:]]))
