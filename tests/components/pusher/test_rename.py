import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penstock.components.pusher import rename
from penstock.components.pusher.rename import rename_new


@pytest.fixture(params=["renameat2", "a C library without it", "a file system without it"])
def _way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "a C library without it":
        monkeypatch.setattr(rename, "_renameat2", lambda: None)
    elif request.param == "a file system without it":
        monkeypatch.setattr(rename, "_without_replacing", lambda source, target: errno.EINVAL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "file").write_text("ours")
    return tmp_path / "new"


@pytest.mark.usefixtures("_way")
def test_a_free_name_is_taken(folder: Path, tmp_path: Path):
    rename_new(folder, tmp_path / "7")
    assert (tmp_path / "7" / "file").read_text() == "ours"
    assert not folder.exists()


@pytest.mark.usefixtures("_way")
@pytest.mark.parametrize("occupy", [Path.mkdir, Path.touch, lambda path: path.symlink_to("nowhere")])
def test_nothing_is_ever_replaced(folder: Path, tmp_path: Path, occupy: Callable[[Path], Any]):
    occupy(tmp_path / "7")
    with pytest.raises(FileExistsError) as caught:
        rename_new(folder, tmp_path / "7")
    assert (caught.value.filename, caught.value.filename2) == (str(folder), str(tmp_path / "7"))
    assert (folder / "file").read_text() == "ours"
    assert not (tmp_path / "7" / "file").exists()


@pytest.mark.usefixtures("_way")
def test_another_failure_is_told_as_it_is(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        rename_new(tmp_path / "gone", tmp_path / "7")
