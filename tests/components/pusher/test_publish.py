import errno
import os
import re
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from penstock.components.pusher import publish as publishing
from penstock.components.pusher import rename as renaming
from penstock.components.pusher.publish import publish
from penstock.errors import ArtifactError, EnvironmentProblem
from penstock.serving.manifest import MANIFEST, verify
from penstock.serving.versions import versions
from tests.components.pusher.conftest import FILES


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_version_holds_the_model_and_its_manifest(model: Path, base: Path):
    published = publish(model, base, "next")
    contents = _contents(published.path)
    assert published.path == base / "1"
    assert contents.pop(MANIFEST)
    assert contents == FILES
    verify(published.path)


def test_nothing_else_is_left_in_the_base_path(model: Path, base: Path):
    publish(model, base, "next")
    publish(model, base, 5)
    publish(model, base, "next")
    assert sorted(child.name for child in base.iterdir()) == [".penstock-versions", "1", "5", "6"]


def test_other_files_join_the_models_or_take_their_place(model: Path, base: Path):
    extra = {"assets.extra/requests": b"requests", "assets/vocabulary": b"green\n"}
    published = publish(model, base, "next", extra=extra)
    contents = _contents(published.path)
    assert contents.pop(MANIFEST)
    assert contents == {**FILES, **extra}
    verify(published.path)


def test_the_gate_sees_what_is_published_and_may_refuse_it(model: Path, base: Path):
    seen = []

    def refuse(staged: Path) -> None:
        verify(staged)
        seen.append(_contents(staged))
        raise ArtifactError("it cannot answer")

    with pytest.raises(ArtifactError, match=r"^it cannot answer$"):
        publish(model, base, "next", extra={"more": b"more"}, gate=refuse)
    assert [sorted(contents) for contents in seen] == [sorted([*FILES, "more", MANIFEST])]
    assert list(base.iterdir()) == []


def test_the_source_is_not_touched(model: Path, base: Path):
    publish(model, base, "next")
    assert _contents(model) == FILES


def test_empty_folders_are_copied(model: Path, base: Path):
    (model / "assets.extra").mkdir()
    (model / "empty").mkdir()
    published = publish(model, base, "next")
    assert (published.path / "empty").is_dir()
    verify(published.path)


def test_a_pushed_model_can_be_pushed_again(model: Path, base: Path, tmp_path: Path):
    first = publish(model, base, "next")
    second = publish(first.path, tmp_path / "other", "next")
    assert first.digest == second.digest
    verify(second.path)


def test_a_linked_file_is_copied_as_a_file(model: Path, base: Path, tmp_path: Path):
    (tmp_path / "shared").write_bytes(b"shared")
    (model / "assets" / "linked").symlink_to(tmp_path / "shared")
    published = publish(model, base, "next")
    assert not (published.path / "assets" / "linked").is_symlink()
    assert (published.path / "assets" / "linked").read_bytes() == b"shared"


def test_a_text_saved_model_is_one(model: Path, base: Path):
    (model / "saved_model.pb").rename(model / "saved_model.pbtxt")
    assert publish(model, base, "next").version == 1


def test_other_users_can_read_a_version(model: Path, base: Path):
    mask = os.umask(0o022)
    try:
        published = publish(model, base, "next")
    finally:
        os.umask(mask)
    assert published.path.stat().st_mode & 0o777 == 0o755
    assert (published.path / "saved_model.pb").stat().st_mode & 0o777 == 0o644


def test_a_fixed_version_is_never_overwritten(model: Path, base: Path):
    publish(model, base, 3)
    before = _contents(base / "3")
    (model / "saved_model.pb").write_bytes(b"another")
    with pytest.raises(ArtifactError, match=r"^version 3 exists and is never overwritten"):
        publish(model, base, 3)
    assert _contents(base / "3") == before


@pytest.mark.parametrize("occupy", [Path.mkdir, Path.touch, lambda path: path.symlink_to("nowhere")])
def test_whatever_has_the_number_keeps_it(model: Path, base: Path, occupy: Callable[[Path], Any]):
    base.mkdir(parents=True)
    occupy(base / "3")
    with pytest.raises(ArtifactError, match=r"^version 3 exists and is never overwritten"):
        publish(model, base, 3)
    assert publish(model, base, "next").version == 4


def _lose_the_first_race(monkeypatch: pytest.MonkeyPatch, base: Path) -> None:
    rename = vars(publishing)["rename_new"]

    def late(source: Path, target: Path) -> None:
        rival = base / "1"
        if not rival.exists():
            rival.mkdir()
            (rival / "saved_model.pb").write_bytes(b"the rival's")
        rename(source, target)

    monkeypatch.setattr(publishing, "rename_new", late)


def test_who_loses_a_race_takes_the_next_number(model: Path, base: Path, monkeypatch: pytest.MonkeyPatch):
    _lose_the_first_race(monkeypatch, base)
    published = publish(model, base, "next")
    assert published.version == 2
    assert _contents(base / "1") == {"saved_model.pb": b"the rival's"}


def test_who_loses_a_race_for_a_fixed_number_is_told(model: Path, base: Path, monkeypatch: pytest.MonkeyPatch):
    _lose_the_first_race(monkeypatch, base)
    with pytest.raises(ArtifactError, match=r"^version 1 exists and is never overwritten"):
        publish(model, base, 1)
    assert _contents(base) == {"1/saved_model.pb": b"the rival's"}


def test_many_processes_get_a_version_each(model: Path, base: Path):
    pushes = 24
    with ProcessPoolExecutor(6, mp_context=get_context("spawn")) as pool:
        tasks = [pool.submit(publish, model, base, "next") for _ in range(pushes)]
        published = [task.result() for task in tasks]
    assert sorted(each.version for each in published) == list(range(1, pushes + 1))
    assert sorted(versions(base)) == list(range(1, pushes + 1))
    assert sorted(versions(base)) == list(range(1, pushes + 1))
    for each in published:
        verify(each.path)


def test_one_of_many_processes_gets_a_fixed_version(model: Path, base: Path):
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        tasks = [pool.submit(publish, model, base, 7) for _ in range(8)]
        errors = [task.exception() for task in tasks]
    assert [type(error) for error in errors if error] == [ArtifactError] * 7
    verify(base / "7")


@pytest.mark.parametrize("files", [{}, {"model.keras": b"", "notes": b""}])
def test_a_folder_that_is_no_saved_model_is_refused(tmp_path: Path, base: Path, files: dict[str, bytes]):
    source = tmp_path / "export"
    source.mkdir()
    for name, content in files.items():
        (source / name).write_bytes(content)
    with pytest.raises(ArtifactError) as caught:
        publish(source, base, "next")
    assert str(caught.value) == (
        f"{source} is no SavedModel\n"
        f"  received: a folder with {', '.join(files) or 'nothing in it'}\n"
        "  expected: a folder with saved_model.pb or saved_model.pbtxt\n"
        "  next: look at the step that exports the model: it must save to the serving folder that it is given"
    )
    assert not base.exists()


def test_a_model_that_is_not_there_is_refused(tmp_path: Path, base: Path):
    with pytest.raises(ArtifactError, match="is no SavedModel") as caught:
        publish(tmp_path / "gone", base, "next")
    assert caught.value.received == "no such folder"


@pytest.mark.parametrize("target", ["nowhere", "."])
def test_a_link_that_is_no_file_is_refused(model: Path, base: Path, target: str):
    (model / "assets" / "link").symlink_to(target)
    with pytest.raises(ArtifactError) as caught:
        publish(model, base, "next")
    assert str(caught.value) == (
        f"{model}/assets/link cannot be pushed\n"
        "  received: a link to a folder, a broken link or a special file\n"
        "  expected: files and folders\n"
        "  next: replace assets/link by the real file or folder"
    )


def test_a_destination_that_is_a_file_is_refused(model: Path, base: Path):
    base.parent.mkdir()
    base.write_text("not a folder")
    with pytest.raises(EnvironmentProblem) as caught:
        publish(model, base, "next")
    assert str(caught.value) == (
        f"the destination {base} is a file\n"
        "  received: a file\n"
        "  expected: a folder, or a path at which one can be made\n"
        "  next: remove that file or choose another `destination.directory`"
    )
    assert base.read_text() == "not a folder"


def test_a_destination_below_a_file_is_refused(model: Path, base: Path):
    base.parent.write_text("not a folder")
    with pytest.raises(EnvironmentProblem, match="could not be pushed: Not a directory") as caught:
        publish(model, base, "next")
    assert caught.value.received == f"[Errno 20] Not a directory: {base}"


def test_an_unwritable_destination_is_told(model: Path, base: Path, monkeypatch: pytest.MonkeyPatch):
    base.mkdir(parents=True)

    def refuse(self: Path, *args: object, **kwargs: object) -> None:
        if self.name.startswith(".staging-"):
            raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(EnvironmentProblem, match="could not be pushed: Permission denied") as caught:
        publish(model, base, "next")
    assert f"received: [Errno 13] Permission denied: {base}/.staging-" in str(caught.value)
    assert f"next: check the owner and the permissions of {base}/.staging-" in str(caught.value)


class TestDiskFailure:
    """An operation that fails half-way leaves no version and nothing else."""

    @staticmethod
    def _fail_at(monkeypatch: pytest.MonkeyPatch, name: str, call: int) -> None:
        original, calls = getattr(os, name), iter(range(1000))

        def failing(*args: Any, **kwargs: Any) -> Any:
            if next(calls) == call:
                raise OSError(errno.ENOSPC, "No space left on device")
            return original(*args, **kwargs)

        monkeypatch.setattr(os, name, failing)

    def test_a_full_disk_names_the_file_and_what_to_do(self, model: Path, base: Path, monkeypatch: pytest.MonkeyPatch):
        base.mkdir(parents=True)
        self._fail_at(monkeypatch, "fsync", 0)
        with pytest.raises(EnvironmentProblem) as caught:
            publish(model, base, "next")
        (staging,) = re.findall(r"[.]staging-[0-9a-f]{32}", str(caught.value))
        assert str(caught.value) == (
            "the model could not be pushed: No space left on device\n"
            f"  received: [Errno 28] No space left on device: {base}/{staging}/model/fingerprint.pb\n"
            "  expected: a model that can be read and a destination that can be written\n"
            "  next: free some space on that disk, then run again"
        )
        assert list(base.iterdir()) == []

    # Six files, then four folders; the eleventh call confirms the rename.
    @pytest.mark.parametrize("call", range(10))
    def test_no_version_appears_when_a_flush_fails(
        self, model: Path, base: Path, monkeypatch: pytest.MonkeyPatch, call: int
    ):
        base.mkdir(parents=True)
        self._fail_at(monkeypatch, "fsync", call)
        with pytest.raises(EnvironmentProblem, match="No space left on device"):
            publish(model, base, "next")
        assert list(base.iterdir()) == []

    def test_no_version_appears_when_the_rename_fails(self, model: Path, base: Path, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(renaming, "_without_replacing", lambda source, target: errno.ENOSPC)
        with pytest.raises(EnvironmentProblem, match="No space left on device"):
            publish(model, base, "next")
        assert list(base.iterdir()) == []

    def test_an_unconfirmed_rename_is_told_as_what_it_is(
        self, model: Path, base: Path, monkeypatch: pytest.MonkeyPatch
    ):
        base.mkdir(parents=True)
        self._fail_at(monkeypatch, "fsync", 10)
        with pytest.raises(EnvironmentProblem) as caught:
            publish(model, base, "next")
        assert str(caught.value) == (
            "version 1 is published, but the disk did not confirm it\n"
            f"  received: {base}: No space left on device\n"
            "  expected: a folder that can be flushed to disk\n"
            f"  next: check the disk; {base}/1 is complete now, but may be gone after a power cut"
        )
        verify(base / "1")
