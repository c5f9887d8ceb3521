"""The folder that the step and all pods see: what the pods need is put there, and what they made is fetched from it."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from penstock.components.trainer.cluster_options import KubernetesLauncher
from penstock.components.trainer.request import TrainRequest, TrainResult, to_json
from penstock.components.trainer.task import REQUEST, RESULT, SEARCH_PATH
from penstock.errors import EnvironmentProblem

HOME = ".penstock"
"""Below the shared folder; holds a folder a job, and the checkpoints of those that were ended."""
_CHECKPOINTS = "checkpoints"
_INPUTS = ("schema", "transform_graph", "base_model")
_OUTPUTS = ("saved_model", "keras_file", "run_folder", "tensorboard")


@dataclass(frozen=True)
class Staged:
    """A job's folder.

    Attributes:
        folder: The folder, which all pods see.
        request: What the pods do: every path of it is one that they see.
        fetched: Path in the shared folder → where the step wants it.
        checkpoints: Checkpoints to remove when the training is done, because nobody else knows them.
    """

    folder: Path
    request: TrainRequest
    fetched: dict[Path, Path]
    checkpoints: Path | None = None

    @property
    def result(self) -> Path:
        """The file that the chief leaves."""
        return self.folder / RESULT

    @property
    def errors(self) -> Path:
        """Folder of what tasks say that fail."""
        return self.folder / "errors"


def job_folder(options: KubernetesLauncher, name: str) -> Path:
    """Return the folder of the job ``name``."""
    return Path(options.shared) / HOME / name


@contextmanager
def staged(request: TrainRequest, options: KubernetesLauncher, name: str) -> Iterator[Staged]:
    """Lay a job's folder out, and remove it at the end; checkpoints stay until :func:`fetch`.

    Args:
        request: What is asked of the step.
        options: Where the shared folder is, and what the pods mount.
        name: The job's name.

    Raises:
        EnvironmentProblem: The shared folder is not there, or cannot be written.
    """
    _require(Path(options.shared))
    folder = job_folder(options, name)
    try:
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "errors").mkdir(parents=True)
        laid = _lay_out(request, options, folder, name)
        (folder / REQUEST).write_text(to_json(laid.request), encoding="utf-8")
        # The image has its own; this step's folders may not be there.
        (folder / SEARCH_PATH).write_text(json.dumps([]), encoding="utf-8")
    except OSError as error:
        raise _unwritable(Path(options.shared), error) from error
    try:
        yield laid
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def read_result(laid: Staged, seconds: float) -> TrainResult:
    """Return what the chief recorded of the model.

    Args:
        laid: The job's folder.
        seconds: How long a network file system may take to show it.

    Raises:
        EnvironmentProblem: It is not there.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return TrainResult(json.loads(laid.result.read_text(encoding="utf-8")))
        except FileNotFoundError as error:
            if time.monotonic() >= deadline:
                raise EnvironmentProblem(
                    "the chief ended well, and what it left does not come to this step",
                    where=str(laid.result),
                    expected="one volume, mounted in this step and in the pods",
                    hint="see that cluster.volumes names the claim that this step has at that path",
                ) from error
            time.sleep(min(0.5, seconds))


def fetch(laid: Staged) -> None:
    """Bring what the pods made to where the step wants it.

    Raises:
        EnvironmentProblem: It cannot be copied.
    """
    try:
        for source, target in laid.fetched.items():
            if source.is_dir():
                shutil.rmtree(target, ignore_errors=True)
                shutil.copytree(source, target)
            elif source.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
    except OSError as error:
        raise EnvironmentProblem(
            f"the trained model cannot be copied from the shared folder: {error.strerror or error}",
            where=str(error.filename2 or error.filename or laid.folder),
            hint="check free space and permissions, then run again: the checkpoints are kept",
        ) from error
    if laid.checkpoints is not None:
        shutil.rmtree(laid.checkpoints, ignore_errors=True)


def _lay_out(request: TrainRequest, options: KubernetesLauncher, folder: Path, name: str) -> Staged:
    seen = [Path(volume.path) for volume in options.volumes]
    inputs = _Inputs(folder / "inputs", seen)
    splits = {
        split: tuple(map(inputs.visible, getattr(request.files, split)))
        for split in ("train", "evaluation", "raw_evaluation")
    }
    paths: dict[str, Path | None] = {
        field: None if value is None else Path(inputs.visible(str(value)))
        for field, value in ((field, getattr(request, field)) for field in _INPUTS)
    }
    fetched: dict[Path, Path] = {}
    for field in _OUTPUTS:
        wanted: Path | None = getattr(request, field)
        if wanted is not None and not _below(wanted, seen):
            paths[field] = folder / "outputs" / field / wanted.name
            fetched[folder / "outputs" / field / wanted.name] = wanted
    checkpoints = request.checkpoints
    own = None
    if checkpoints is None or not _below(checkpoints, seen):
        own = checkpoints = Path(options.shared) / HOME / _CHECKPOINTS / name
    placed = replace(request, files=replace(request.files, **splits), checkpoints=checkpoints, log=None, **paths)  # type: ignore[arg-type]
    return Staged(folder, placed, fetched, own)


class _Inputs:
    """Copies what the pods cannot see, each thing once."""

    def __init__(self, folder: Path, seen: Iterable[Path]) -> None:
        self._folder = folder
        self._seen = tuple(seen)
        self._copied: dict[str, str] = {}

    def visible(self, path: str) -> str:
        """Return a path of the same file or folder that the pods see."""
        if _below(Path(path), self._seen):
            return path
        if path not in self._copied:
            source = Path(path)
            target = self._folder / str(len(self._copied)) / source.name
            target.parent.mkdir(parents=True)
            if source.is_dir():
                shutil.copytree(source, target)
            else:
                shutil.copyfile(source, target)
            self._copied[path] = str(target)
        return self._copied[path]


def _below(path: Path, folders: Iterable[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


def _require(shared: Path) -> None:
    if not shared.is_dir():
        raise EnvironmentProblem(
            "the folder that the step and the pods share is not there",
            where=str(shared),
            received="no folder",
            expected="the volume of cluster.volumes, mounted in this step at the same path",
            hint="on Kubeflow name the claim under kubeflow.volumes too; elsewhere mount it, or correct cluster.shared",
        )
    if not os.access(shared, os.W_OK):
        raise _unwritable(shared, PermissionError(13, "no permission"))


def _unwritable(shared: Path, error: OSError) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"the job's files cannot be laid out in the shared folder: {error.strerror or error}",
        where=str(error.filename or shared),
        hint=f"check the owner, the permissions and the free space of {shared}",
    )
