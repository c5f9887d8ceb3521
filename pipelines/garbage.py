"""Removes the files of what nothing refers to any more: marked first, then renamed, then deleted."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.errors import EnvironmentProblem
from penstock.metadata.connection import explained, open_store
from penstock.metadata.garbage import Judged, Work, judge
from penstock.metadata.reader import Reader
from penstock.metadata.records import Artifact
from penstock.metadata.scan import Scan
from penstock.metadata.server import Location
from penstock.pipelines.report.versions import label_targets
from penstock.pipelines.runners.lock import IN_USE, hold, identity

if TYPE_CHECKING:
    from penstock.pipelines.config import Loaded

_TRASH = ".penstock-trash-"
NOT_OURS = "its files are not where this pipeline writes: they are left alone"
ELSEWHERE = "a run on another machine made it: gc there looks after it"


@dataclass(frozen=True)
class Item:
    """What one execution made.

    Attributes:
        judged: Whether it is kept, and why.
        folders: Its folders that are there, below the root; none where its files are not ours.
        size: Of all files in them, in bytes.
    """

    judged: Judged
    folders: tuple[Path, ...]
    size: int


@dataclass(frozen=True)
class Verdict:
    """All that a pipeline made, oldest first: what can go, and what is kept."""

    garbage: tuple[Item, ...]
    kept: tuple[Item, ...]

    @property
    def size(self) -> int:
        """Bytes that can be freed."""
        return sum(item.size for item in self.garbage)


def look(loaded: Loaded, keep_runs: int) -> Verdict:
    """Return what can go; changes nothing.

    Args:
        loaded: The config.
        keep_runs: How many of the newest runs are kept.

    Raises:
        EnvironmentProblem: The store is not there, or cannot be read.
    """
    root = Path(os.path.abspath(loaded.root))  # noqa: PTH100  Links stay as TFX wrote them.
    scan = Scan(loaded.location, loaded.config.pipeline)
    judged = judge(scan, keep_runs, label_targets(Reader(scan.location, scan.pipeline)), _is_there)
    garbage, kept = [], []
    lock = identity(root)
    for one in judged:
        item = _item(root, one)
        if not one.kept and not one.work.deleted and _is_foreign(one.work, lock) and not item.folders:
            kept.append(replace(item, judged=replace(one, kept=True, reason=ELSEWHERE)))
        elif item.judged.kept:
            kept.append(item)
        elif item.folders or not one.work.deleted:
            garbage.append(item)
    return Verdict(tuple(garbage), tuple(kept))


def remove(loaded: Loaded, keep_runs: int) -> Verdict:
    """Remove what can go, while nothing else uses the root; it is judged anew once that is sure.

    An artifact is marked as deleted in ML Metadata before its files go, so that no later run reuses it; a folder is
    renamed before it is emptied, so that nobody finds half of it. What a kill interrupts, the next call finishes.

    Returns:
        What was removed, and what was kept.

    Raises:
        EnvironmentProblem: A run holds the root, the store cannot be written, or files cannot be removed.
    """
    scan = Scan(loaded.location, loaded.config.pipeline)  # Where there is no store, no root is made either.
    with _alone(Path(loaded.root)):
        verdict = look(loaded, keep_runs)
        _mark(scan.location, [one.judged.work for one in verdict.garbage if not one.judged.work.deleted])
        failures = [failure for item in verdict.garbage for folder in item.folders for failure in _delete(folder)]
    if failures:
        raise EnvironmentProblem(
            f"{len(failures)} of {sum(len(item.folders) for item in verdict.garbage)} folders could not be removed",
            where=str(failures[0].filename or loaded.root),
            received=failures[0].strerror or str(failures[0]),
            hint="mend that and run gc again: it goes on where it stopped, and no run reuses what is half removed",
        )
    return verdict


def _is_foreign(work: Work, lock: str | None) -> bool:
    """Whether a run of another root made it: machines that share a server may name roots alike."""
    return work.owner is not None and work.owner.lock != lock


@contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Hold the root, as a run does."""
    with ExitStack() as stack:
        try:
            stack.enter_context(hold(root, wait=False))
        except EnvironmentProblem as error:
            then = "run gc again when nothing uses the root" if error.what.startswith(IN_USE) else error.hint
            raise EnvironmentProblem(error.what, where=error.where, hint=f"nothing was removed; {then}") from error
        yield


def _is_there(place: str) -> bool:
    return "://" in place or Path(place).exists()


def _item(root: Path, judged: Judged) -> Item:
    folders = tuple(_folders(root, judged.work))
    made = judged.work.all_outputs()
    if not judged.kept and not folders and not judged.work.deleted and any(_is_there(one.uri) for one in made):
        judged = replace(judged, kept=True, reason=NOT_OURS)
    return Item(judged, folders, sum(map(_size, folders)))


def _folders(root: Path, work: Work) -> Iterator[Path]:
    """Yield the folders that TFX named after an execution, and what an interrupted removal left of them."""
    base = root / work.origin.step
    if not work.origin.step or not all(
        _lies_in(found, base / key / str(work.id)) for key, found in work.outputs.items()
    ):
        return
    wanted = [base / key / str(work.id) for key in work.outputs]
    wanted += [base / ".system" / kind / str(work.id) for kind in ("executor_execution", "stateful_working_dir")]
    for folder in wanted:
        for one in (folder, _trash(folder)):
            if one.is_dir() and _has_no_links(root, one):
                yield one


def _lies_in(artifacts: Sequence[Artifact], folder: Path) -> bool:
    """Whether TFX put the artifacts into the folder that it makes for an execution's output."""
    places = (folder, folder.resolve())
    return all(
        "://" not in one.uri and any(Path(os.path.abspath(one.uri)).is_relative_to(place) for place in places)  # noqa: PTH100
        for one in artifacts
    )


def _has_no_links(root: Path, folder: Path) -> bool:
    """Whether a folder really lies below the root: no link leads out of it, or elsewhere in it."""
    return folder.resolve() == root.resolve() / folder.relative_to(root)


def _trash(folder: Path) -> Path:
    return folder.with_name(f"{_TRASH}{folder.name}")


def _size(folder: Path) -> int:
    """Return the bytes of the files below a folder; links count as themselves."""
    files = (Path(place, name) for place, _, names in os.walk(folder) for name in names)
    return sum(file.lstat().st_size for file in files)


def _mark(location: Location, works: Sequence[Work]) -> None:
    """Mark what some executions made as deleted, all of it or nothing."""
    from ml_metadata.proto import metadata_store_pb2 as pb

    ids = [artifact.id for work in works for artifact in work.all_outputs()]
    if not ids:
        return
    with explained(location):
        store = open_store(location, writable=True)
        artifacts = store.get_artifacts_by_id(ids)
        for artifact in artifacts:
            artifact.state = pb.Artifact.DELETED
        store.put_artifacts(artifacts)


def _delete(folder: Path) -> list[OSError]:
    """Remove a folder, which is out of sight before it is emptied; return what could not be done."""
    failures: list[OSError] = []

    def failed(_function: object, path: str, found: tuple[object, BaseException, object]) -> None:
        failures.append(found[1] if isinstance(found[1], OSError) else OSError(None, str(found[1]), path))

    gone = folder if folder.name.startswith(_TRASH) else _trash(folder)
    try:
        if gone != folder:
            folder.rename(gone)
    except OSError as error:
        return [error]
    shutil.rmtree(gone, onerror=failed)
    return failures[:1]
