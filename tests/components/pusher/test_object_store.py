"""Pushes to an object store."""

from __future__ import annotations

import shutil
import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import IO

import pytest

from penstock.components.pusher import object_store
from penstock.components.pusher.config import PusherConfig
from penstock.components.pusher.object_store import present, prune, upload
from penstock.components.pusher.push import PushRequest, push
from penstock.errors import ArtifactError, EnvironmentProblem
from penstock.serving.manifest import MANIFEST
from penstock.serving.model_config import ModelsFile, VersionPolicy
from penstock.serving.places import changing
from tests.components.pusher.conftest import FILES


class Store:
    """An object store: names with slashes, kept in a folder, behind the methods of TFX's file system."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _path(self, url: str) -> Path:
        scheme, _, name = url.partition("://")
        if scheme != "store":
            raise ValueError(f"No filesystem found for scheme {scheme}")
        return self.folder / name

    def exists(self, url: str) -> bool:
        return self._path(url).exists()

    def listdir(self, url: str) -> list[str]:
        return [f"{child.name}/" if child.is_dir() else child.name for child in self._path(url).iterdir()]

    def makedirs(self, url: str) -> None:
        self._path(url).mkdir(parents=True, exist_ok=True)

    def open(self, url: str, mode: str) -> IO[bytes]:
        return self._path(url).open(mode)

    def copy(self, source: str, target: str, *, overwrite: bool) -> None:
        shutil.copyfile(source, self._path(target))

    def rmtree(self, url: str) -> None:
        shutil.rmtree(self._path(url))


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    store = Store(tmp_path / "store")
    monkeypatch.setattr(object_store, "_files", lambda: store)
    return store


@pytest.fixture
def store(files: Store) -> str:
    return "store://bucket/digits"


def _read(files: Store, url: str) -> bytes:
    with files.open(url, "rb") as stream:
        return stream.read()


def test_a_version_holds_the_model_and_its_manifest(model: Path, store: str, files: Store):
    uploaded = upload(model, store, "next", extra={"assets.extra/more": b"more"})
    assert (uploaded.version, uploaded.url) == (1, f"{store}/1")
    for name, content in {**FILES, "assets.extra/more": b"more"}.items():
        assert _read(files, f"{store}/1/{name}") == content
    assert uploaded.digest.encode() in _read(files, f"{store}/1/{MANIFEST}")


def test_versions_count_up_and_none_is_overwritten(model: Path, store: str):
    assert [upload(model, store, "next", extra={}).version for _ in range(2)] == [1, 2]
    assert sorted(present(store)) == [1, 2]
    with pytest.raises(ArtifactError, match="version 2 exists and is never overwritten") as caught:
        upload(model, store, 2, extra={})
    assert caught.value.received == f"{store}/2"


def test_the_manifest_comes_last(model: Path, store: str, files: Store, monkeypatch: pytest.MonkeyPatch):
    copied, copy = [], files.copy

    def watched(source: str, target: str, *, overwrite: bool) -> None:
        copied.append(target.removeprefix(f"{store}/1/"))
        copy(source, target, overwrite=overwrite)

    monkeypatch.setattr(files, "copy", watched)
    upload(model, store, "next", extra={})
    assert sorted(copied) == sorted([*FILES, MANIFEST])
    assert copied[-1] == MANIFEST


def test_what_does_not_pass_the_gate_is_not_uploaded(model: Path, store: str):
    def refuse(staged: Path) -> None:
        raise ArtifactError("it cannot answer")

    with pytest.raises(ArtifactError, match="it cannot answer"):
        upload(model, store, "next", extra={}, gate=refuse)
    assert present(store) == {}


def test_another_push_to_the_same_number_is_told(
    model: Path, store: str, files: Store, monkeypatch: pytest.MonkeyPatch
):
    copy = files.copy

    def rival(source: str, target: str, *, overwrite: bool) -> None:
        copy(source, target, overwrite=overwrite)
        if target.endswith("saved_model.pb"):
            with files.open(target, "wb") as stream:
                stream.write(b"the rival's")

    monkeypatch.setattr(files, "copy", rival)
    with pytest.raises(ArtifactError) as caught:
        upload(model, store, "next", extra={})
    assert str(caught.value) == (
        f"{store}/1/saved_model.pb is not what was uploaded\n"
        "  received: other content\n"
        "  expected: the content of saved_model.pb\n"
        "  next: look for another push to the same base path at the same time; this version is not in service"
    )


def test_an_upload_that_fails_is_told(model: Path, store: str, files: Store, monkeypatch: pytest.MonkeyPatch):
    def refuse(source: str, target: str, *, overwrite: bool) -> None:
        raise OSError("403 Forbidden")

    monkeypatch.setattr(files, "copy", refuse)
    with pytest.raises(EnvironmentProblem, match=f"the model could not be pushed to {store}/1") as caught:
        upload(model, store, "next", extra={})
    assert caught.value.received == "OSError: 403 Forbidden"


def test_a_scheme_that_is_not_installed_is_told(model: Path):
    with pytest.raises(EnvironmentProblem, match="the model could not be pushed to abfs://bucket/digits"):
        upload(model, "abfs://bucket/digits", "next", extra={})


def test_old_versions_go_and_their_numbers_with_them(model: Path, store: str):
    (model / "variables/variables.data-00000-of-00001").write_bytes(b"small")
    for _ in range(4):
        upload(model, store, "next", extra={})
    assert prune(store, 1, {2}) == (1, 3)
    assert sorted(present(store)) == [2, 4]
    with pytest.raises(ArtifactError, match="version 3 exists and is never overwritten"):
        upload(model, store, 3, extra={})


def test_numbers_that_are_known_from_elsewhere_are_not_used(model: Path, store: str):
    assert upload(model, store, "next", extra={}, used={6}).version == 7


def test_of_two_pushes_at_once_each_takes_a_number_of_its_own(
    model: Path, store: str, files: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The second begins, in another thread, when the first has chosen its number and uploads."""
    config, copy = tmp_path / "models.config", files.copy
    second: list[Future[int]] = []
    put = threading.local()

    def watched(source: str, target: str, *, overwrite: bool) -> None:
        if not second and not hasattr(put, "second"):
            second.append(pool.submit(_upload_as_second))
            assert wait(second, timeout=0.05).not_done
        copy(source, target, overwrite=overwrite)

    def _upload_as_second() -> int:
        put.second = True
        return upload(model, store, "next", extra={}, alone=lambda: changing(config, 60)).version

    monkeypatch.setattr(files, "copy", watched)
    with ThreadPoolExecutor(1) as pool:
        first = upload(model, store, "next", extra={}, alone=lambda: changing(config, 60)).version
        assert (first, second[0].result()) == (1, 2)


@pytest.mark.usefixtures("gate")
def test_a_push_names_the_version_in_the_config_when_all_of_it_is_up(model: Path, store: str, tmp_path: Path):
    config = tmp_path / "models.config"
    values = {"destination": {"directory": store, "config": str(config)}, "keep_versions": 1}
    request = PushRequest(model, PusherConfig.model_validate(values))
    results = [push(request) for _ in range(3)]
    assert [result.path for result in results] == [f"{store}/{version}" for version in (1, 2, 3)]
    (entry,) = ModelsFile(config).read()
    assert (entry.name, entry.base_path) == ("digits", store)
    assert entry.policy == VersionPolicy("specific", versions=(3,))
    assert sorted(present(store)) == [3]
