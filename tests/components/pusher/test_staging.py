import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from penstock.components.pusher.publish import publish
from penstock.components.pusher.staging import LEFTOVER_AGE
from penstock.serving.manifest import verify
from penstock.serving.versions import versions

KILLED_PUSH = """
import itertools, os, signal, sys
from pathlib import Path
from penstock.components.pusher import rename
from penstock.components.pusher.publish import publish

module, operation = {"fsync": (os, "fsync"), "rename": (rename, "_without_replacing")}[sys.argv[3]]
call = int(sys.argv[4])
original, calls = getattr(module, operation), itertools.count()

def killing(*args, **kwargs):
    if next(calls) == call:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*args, **kwargs)

setattr(module, operation, killing)
publish(Path(sys.argv[1]), Path(sys.argv[2]), "next")
"""


def _kill_a_push(model: Path, base: Path, operation: str, call: int) -> None:
    base.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-c", KILLED_PUSH, str(model), str(base), operation, str(call)]
    assert subprocess.run(command, check=False).returncode == -9


def _age(folder: Path, seconds: float) -> None:
    then = time.time() - seconds
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (then, then), follow_symlinks=False)


@pytest.mark.parametrize(("operation", "call"), [("fsync", 0), ("fsync", 4), ("fsync", 9), ("rename", 0)])
def test_a_killed_push_shows_no_version(model: Path, base: Path, operation: str, call: int):
    _kill_a_push(model, base, operation, call)
    assert versions(base) == {}
    assert [child.name.startswith(".staging-") for child in base.iterdir()] == [True]
    assert publish(model, base, "next").version == 1


def test_a_push_killed_after_its_rename_shows_a_complete_version(model: Path, base: Path):
    _kill_a_push(model, base, "fsync", 10)
    assert versions(base) == {1: "1"}
    verify(base / "1")


def _moved_away(leftover: Path) -> Path:
    """Let the name be that of a process of another machine, of which nobody here knows whether it runs."""
    prefix, digits = leftover.name[:9], leftover.name[9:]
    return leftover.rename(leftover.with_name(f"{prefix}{int(digits[:8], 16) ^ 1:08x}{digits[8:]}"))


def test_the_leftover_of_a_process_that_is_gone_is_removed_by_the_next_push(model: Path, base: Path):
    _kill_a_push(model, base, "rename", 0)
    publish(model, base, "next")
    assert sorted(child.name for child in base.iterdir()) == [".penstock-versions", "1"]


@pytest.mark.parametrize("content", [[], ["penstock-staging"], ["model/saved_model.pb"]])
def test_a_push_that_was_killed_while_it_made_or_removed_its_folder(model: Path, base: Path, content: list[str]):
    _kill_a_push(model, base, "rename", 0)
    (leftover,) = base.iterdir()
    shutil.rmtree(leftover)
    for name in content:
        (leftover / name).parent.mkdir(parents=True, exist_ok=True)
        (leftover / name).touch()
    leftover.mkdir(exist_ok=True)
    publish(model, base, "next")
    assert sorted(child.name for child in base.iterdir()) == [".penstock-versions", "1"]


def test_the_folder_of_a_process_that_runs_is_left_alone(model: Path, base: Path):
    def gate(staged: Path) -> None:
        publish(model, base, "next")
        assert staged.is_dir()

    assert publish(model, base, "next", gate=gate).version == 2


def test_an_old_leftover_is_removed_by_the_next_push(model: Path, base: Path):
    _kill_a_push(model, base, "rename", 0)
    (leftover,) = base.iterdir()
    leftover = _moved_away(leftover)
    _age(leftover, LEFTOVER_AGE + 60)
    publish(model, base, "next")
    assert sorted(child.name for child in base.iterdir()) == [".penstock-versions", "1"]


@pytest.mark.parametrize("recent", ["saved_model.pb", "variables"])
def test_a_push_that_still_writes_is_left_alone(model: Path, base: Path, recent: str):
    _kill_a_push(model, base, "rename", 0)
    (leftover,) = base.iterdir()
    leftover = _moved_away(leftover)
    _age(leftover, LEFTOVER_AGE + 60)
    os.utime(leftover / "model" / recent)
    publish(model, base, "next")
    assert leftover.is_dir()


def _stranger(base: Path, name: str, marker: str | None) -> Path:
    folder = base / name
    folder.mkdir(parents=True)
    (folder / "precious").write_text("precious")
    if marker is not None:
        (folder / "penstock-staging").write_text(marker)
    return folder


@pytest.mark.parametrize(
    ("name", "marker"),
    [
        (f".staging-{'0' * 32}", None),
        (f".staging-{'0' * 32}", "another text"),
        (".staging-mine", "A push puts its model together here. Abandoned ones are removed by the next push.\n"),
        ("staging", "A push puts its model together here. Abandoned ones are removed by the next push.\n"),
    ],
)
def test_what_is_not_ours_is_never_removed(model: Path, base: Path, name: str, marker: str | None):
    folder = _stranger(base, name, marker)
    _age(folder, 10 * LEFTOVER_AGE)
    publish(model, base, "next")
    assert (folder / "precious").read_text() == "precious"


def test_a_link_of_our_name_is_not_followed(model: Path, base: Path, tmp_path: Path):
    text = "A push puts its model together here. Abandoned ones are removed by the next push.\n"
    folder = _stranger(tmp_path / "elsewhere", "folder", text)
    base.mkdir(parents=True)
    (base / f".staging-{'0' * 32}").symlink_to(folder)
    _age(folder, 10 * LEFTOVER_AGE)
    publish(model, base, "next")
    assert (folder / "precious").read_text() == "precious"
    assert (base / f".staging-{'0' * 32}").is_symlink()


def test_a_leftover_that_cannot_be_removed_does_not_stop_a_push(
    model: Path, base: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    _kill_a_push(model, base, "rename", 0)
    (leftover,) = base.iterdir()
    _age(leftover, LEFTOVER_AGE + 60)

    def refuse(path: Path, *, ignore_errors: bool = False) -> None:
        if not ignore_errors:
            raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("penstock.components.pusher.staging.shutil.rmtree", refuse)
    assert publish(model, base, "next").version == 1
    assert caplog.messages == [f"cannot remove the leftover of a push: [Errno 13] Permission denied: '{leftover}'"]
