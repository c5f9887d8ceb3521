"""The config, labels, polling and requests; how versions follow is in test_lifecycle.py."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.serving.errors import Code, ServingError
from penstock.serving.model_config import ModelEntry, VersionPolicy
from penstock.serving.models.manager import ManagerOptions, ModelManager
from penstock.serving.models.state import State, VersionStatus
from tests.serving.models.fakes import PATIENCE, FakeLoader, Recorder, answering, make, states, wait_for

ONE_TRY = ManagerOptions(load_retries=0, poll_seconds=0)


@pytest.fixture
def loader() -> FakeLoader:
    return FakeLoader()


@pytest.fixture
def manager(loader: FakeLoader) -> Iterator[ModelManager]:
    """A manager that looks at the file system when it is told to."""
    manager = ModelManager(ONE_TRY, loader, Recorder())
    yield manager
    manager.close(PATIENCE)


def _entry(base: Path, *versions: int, **labels: int) -> ModelEntry:
    policy = VersionPolicy("specific", versions=versions) if versions else VersionPolicy()
    return ModelEntry(base.name, str(base), policy=policy, labels=labels)


def _error(manager: ModelManager, *entries: ModelEntry) -> tuple[Code, str]:
    with pytest.raises(ServingError) as caught:
        manager.reload(entries)
    return caught.value.code, caught.value.message


class TestReload:
    def test_it_waits_for_the_models(self, manager: ModelManager, tmp_path: Path):
        manager.reload([_entry(make(tmp_path / "m", 1, 2)), _entry(make(tmp_path / "n", 7))])
        assert answering(manager, ("m", "n")) == {"m": 2, "n": 7}
        assert manager.names() == ["m", "n"]

    def test_it_waits_for_new_models_only(self, manager: ModelManager, loader: FakeLoader, tmp_path: Path):
        base = make(tmp_path / "m", 1)
        manager.reload([_entry(base)])
        (base / "2").mkdir()
        with loader.held("m", 2) as begun:
            manager.reload([_entry(base)])
            assert begun()
            assert answering(manager) == {"m": 1}
        wait_for(manager, "m", v1="END", v2="AVAILABLE")

    def test_the_whole_config_is_replaced(self, manager: ModelManager, tmp_path: Path):
        manager.reload([_entry(make(tmp_path / "m", 1)), _entry(make(tmp_path / "n", 1))])
        manager.reload([_entry(tmp_path / "n")])
        wait_for(manager, "m", v1="END")
        assert answering(manager, ("m", "n")) == {"m": None, "n": 1}
        assert manager.names() == ["n"]
        manager.reload([])
        wait_for(manager, "n", v1="END")
        assert manager.names() == []

    def test_a_model_comes_back(self, manager: ModelManager, tmp_path: Path):
        entry = _entry(make(tmp_path / "m", 1))
        manager.reload([entry])
        manager.reload([])
        manager.reload([entry])
        assert answering(manager) == {"m": 1}

    def test_a_first_config_with_a_model_that_fails(self, manager: ModelManager, loader: FakeLoader, tmp_path: Path):
        loader.fail("m", 3, ServingError(Code.NOT_FOUND, "no such model"))
        assert _error(manager, _entry(make(tmp_path / "m", 3)), _entry(make(tmp_path / "n", 1))) == (
            Code.UNKNOWN,
            "1 servable(s) did not become available: {{{name: m version: 3} due to error: NOT_FOUND: no such model}, }",
        )
        assert answering(manager, ("m", "n")) == {"m": None, "n": 1}

    def test_a_later_config_with_models_that_fail(self, manager: ModelManager, loader: FakeLoader, tmp_path: Path):
        manager.reload([])
        for name in ("m", "n"):
            loader.fail(name, 1, ServingError(Code.INTERNAL, "broken"))
        assert _error(manager, _entry(make(tmp_path / "n", 1)), _entry(make(tmp_path / "m", 1))) == (
            Code.UNKNOWN,
            (
                "2 model(s) did not become available: {{{name: m version: 1} due to error: INTERNAL: broken}, "
                "{{name: n version: 1} due to error: INTERNAL: broken}, }"
            ),
        )

    @pytest.mark.parametrize(
        ("entries", "message"),
        [
            ([ModelEntry("m", "/m"), ModelEntry("m", "/n")], "Illegal to list model m multiple times in config list"),
            ([ModelEntry("m", "m")], "Expected model m to have an absolute path or URI; got base_path()=m"),
            ([ModelEntry("k", "/k", platform="jax")], "Model k requests unsupported platform jax"),
            (
                [ModelEntry("m", "/m", platform="jax")],
                (
                    "Illegal to change a model's platform. For model m platform was tensorflow and new platform "
                    "requested is jax"
                ),
            ),
        ],
    )
    def test_what_is_refused_changes_nothing(
        self, manager: ModelManager, tmp_path: Path, entries: list[ModelEntry], message: str
    ):
        manager.reload([_entry(make(tmp_path / "m", 1))])
        assert _error(manager, *entries) == (Code.INVALID_ARGUMENT, message)
        assert manager.names() == ["m"]
        assert answering(manager) == {"m": 1}

    def test_it_waits_for_a_version_to_appear(self, loader: FakeLoader, tmp_path: Path):
        manager = ModelManager(ManagerOptions(poll_seconds=0.001), loader)
        base = make(tmp_path / "m")
        manager.start()
        thread = threading.Thread(target=manager.reload, args=([_entry(base)],), daemon=True)
        thread.start()
        (base / "4").mkdir()
        thread.join(PATIENCE)
        assert answering(manager) == {"m": 4}
        manager.close(PATIENCE)

    def test_it_waits_no_longer_than_it_may(self, loader: FakeLoader, tmp_path: Path):
        manager = ModelManager(ManagerOptions(poll_seconds=0.001, wait_seconds=0.01), loader)
        assert _error(manager, _entry(make(tmp_path / "m"))) == (
            Code.UNKNOWN,
            "0 servable(s) did not become available: {}",
        )

    def test_closing_ends_the_wait(self, manager: ModelManager, tmp_path: Path):
        caught: list[ServingError] = []

        def reload() -> None:
            with pytest.raises(ServingError) as error:
                manager.reload([_entry(make(tmp_path / "m"))])
            caught.append(error.value)

        thread = threading.Thread(target=reload)
        thread.start()
        manager.close()
        thread.join(PATIENCE)
        assert (caught[0].code, caught[0].message) == (Code.UNAVAILABLE, "The server is shutting down")


class TestLabels:
    def test_a_label_leads_to_its_version(self, manager: ModelManager, tmp_path: Path):
        base = make(tmp_path / "m", 1, 2)
        manager.reload([_entry(base, 1, 2)])
        wait_for(manager, "m", v1="AVAILABLE", v2="AVAILABLE")
        manager.reload([_entry(base, 1, 2, stable=1, canary=2)])
        with manager.use("m", label="stable") as stable, manager.use("m", label="canary") as canary:
            assert (stable.version, canary.version) == (1, 2)
        manager.reload([_entry(base, 1, 2, stable=2)])
        with manager.use("m", label="stable") as stable:
            assert stable.version == 2
        with pytest.raises(ServingError, match="Unrecognized servable version label: canary"):
            manager.use("m", label="canary").__enter__()

    @pytest.mark.parametrize("version", [2, 9])
    def test_a_label_goes_to_available_versions_only(
        self, manager: ModelManager, loader: FakeLoader, tmp_path: Path, version: int
    ):
        base = make(tmp_path / "m", 1)
        manager.reload([_entry(base, 1)])
        manager.reload([_entry(base, 1, stable=1)])
        (base / "2").mkdir()
        with loader.held("m", 2) as begun:
            manager.reload([_entry(base, 1, 2, stable=1)])
            assert begun()
            assert _error(manager, _entry(base, 2, stable=version)) == (
                Code.FAILED_PRECONDITION,
                (
                    f"Request to assign label to version {version} of model m, which is not currently available for "
                    "inference"
                ),
            )
        # The refused config would have unloaded version 1.
        wait_for(manager, "m", v1="AVAILABLE", v2="AVAILABLE")
        with manager.use("m", label="stable") as servable:
            assert servable.version == 1

    def test_a_first_config_has_no_available_versions(self, manager: ModelManager, tmp_path: Path):
        code, _ = _error(manager, _entry(make(tmp_path / "m", 1), stable=1))
        assert code is Code.FAILED_PRECONDITION

    def test_a_new_label_may_be_allowed_anywhere_but_not_a_move(self, loader: FakeLoader, tmp_path: Path):
        manager = ModelManager(ManagerOptions(poll_seconds=0, allow_labels_for_unavailable=True), loader)
        base = make(tmp_path / "m", 1)
        manager.reload([_entry(base, 1, stable=1)])
        with manager.use("m", label="stable") as servable:
            assert servable.version == 1
        code, message = _error(manager, _entry(base, 1, stable=2))
        assert code is Code.FAILED_PRECONDITION
        assert message.startswith("Request to assign label to version 2 of model m")
        manager.close(PATIENCE)

    def test_a_label_of_a_version_that_has_gone(self, manager: ModelManager, tmp_path: Path):
        base = make(tmp_path / "m", 1, 2)
        manager.reload([_entry(base, 1)])
        manager.reload([_entry(base, 2, stable=1)])
        wait_for(manager, "m", v1="END")
        with pytest.raises(ServingError, match=r"Servable not found for request: Specific\(m, 1\)"):
            manager.use("m", label="stable").__enter__()


class TestUse:
    @pytest.mark.parametrize(
        ("asked", "code", "message"),
        [
            (("x", None, None), Code.NOT_FOUND, "Servable not found for request: Latest(x)"),
            (("x", 3, None), Code.NOT_FOUND, "Servable not found for request: Specific(x, 3)"),
            (("m", 3, None), Code.NOT_FOUND, "Servable not found for request: Specific(m, 3)"),
            (("m", None, "no"), Code.INVALID_ARGUMENT, "Unrecognized servable version label: no"),
            (("m", None, ""), Code.INVALID_ARGUMENT, "Unrecognized servable version label: "),
            (("", None, None), Code.INVALID_ARGUMENT, "ModelSpec has no name specified."),
        ],
    )
    def test_what_is_not_there(
        self,
        manager: ModelManager,
        tmp_path: Path,
        asked: tuple[str, int | None, str | None],
        code: Code,
        message: str,
    ):
        manager.reload([_entry(make(tmp_path / "m", 1))])
        name, version, label = asked
        with pytest.raises(ServingError) as caught, manager.use(name, version=version, label=label):
            pass
        assert (caught.value.code, caught.value.message) == (code, message)

    def test_the_newest_answers_unless_another_is_asked_for(self, manager: ModelManager, tmp_path: Path):
        manager.reload([_entry(make(tmp_path / "m", 9, 10, 2), 9, 10, 2)])
        wait_for(manager, "m", v2="AVAILABLE", v9="AVAILABLE", v10="AVAILABLE")
        with manager.use("m") as newest, manager.use("m", version=9) as asked:
            assert (newest.version, asked.version) == (10, 9)

    def test_an_error_in_the_block_ends_the_use(self, manager: ModelManager, loader: FakeLoader, tmp_path: Path):
        manager.reload([_entry(make(tmp_path / "m", 1))])
        with pytest.raises(ZeroDivisionError), manager.use("m"):
            _ = 1 // 0
        manager.reload([])
        assert loader.loaded[0].closed.wait(PATIENCE)


class TestStatus:
    def test_newest_first_with_its_error(self, manager: ModelManager, loader: FakeLoader, tmp_path: Path):
        loader.fail("m", 2, ServingError(Code.DATA_LOSS, "damaged"))
        manager.reload([_entry(make(tmp_path / "m", 1, 2, 10), 1, 2, 10)])
        wait_for(manager, "m", v1="AVAILABLE", v2="END", v10="AVAILABLE")
        assert manager.status("m") == [
            VersionStatus(10, State.AVAILABLE),
            VersionStatus(2, State.END, Code.DATA_LOSS, "damaged"),
            VersionStatus(1, State.AVAILABLE),
        ]
        assert manager.status("m", 2) == [VersionStatus(2, State.END, Code.DATA_LOSS, "damaged")]

    @pytest.mark.parametrize(
        ("version", "message"),
        [(None, "Could not find any versions of model x"), (4, "Could not find version 4 of model x")],
    )
    def test_what_never_was(self, manager: ModelManager, version: int | None, message: str):
        with pytest.raises(ServingError) as caught:
            manager.status("x", version)
        assert (caught.value.code, caught.value.message) == (Code.NOT_FOUND, message)


class TestPolling:
    def test_a_thread_finds_new_versions(self, loader: FakeLoader, tmp_path: Path):
        manager = ModelManager(ManagerOptions(poll_seconds=0.001), loader)
        base = make(tmp_path / "m", 1)
        manager.reload([_entry(base)])
        manager.start()
        (base / "2").mkdir()
        wait_for(manager, "m", v1="END", v2="AVAILABLE")
        manager.close(PATIENCE)
        assert states(manager, "m") == {1: State.END, 2: State.END}

    def test_removing_the_last_version_unserves_the_model(self, manager: ModelManager, tmp_path: Path):
        base = make(tmp_path / "m", 1)
        manager.reload([_entry(base)])
        (base / "1").rmdir()
        manager.poll()
        wait_for(manager, "m", v1="END")
        assert answering(manager) == {"m": None}

    def test_a_base_path_without_versions_is_told_once(
        self, manager: ModelManager, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ):
        base = make(tmp_path / "m", 1)
        manager.reload([_entry(base)])
        (base / "1").rename(base / "staged")
        manager.poll()
        manager.poll()
        (base / "staged").rename(base / "1")
        manager.poll()
        (base / "1").rename(base / "staged")
        manager.poll()
        told = (
            f"No versions of servable m found under base path {base}. Did you forget to name your leaf directory as a "
            "number (eg. '/1/')?"
        )
        warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
        assert warnings == [told, told]

    def test_a_base_path_that_is_unreadable_spoils_the_poll_for_all(self, manager: ModelManager, tmp_path: Path):
        bases = [make(tmp_path / "m", 1), make(tmp_path / "n", 1)]
        manager.reload([_entry(base) for base in bases])
        (bases[0] / "2").mkdir()
        shutil.rmtree(bases[1])
        with pytest.raises(ServingError) as caught:
            manager.poll()
        assert caught.value.message == (
            f"Could not find base path {bases[1]} for servable n with error NOT_FOUND: {bases[1]} not found"
        )
        assert answering(manager, ("m", "n")) == {"m": 1, "n": 1}
        assert states(manager, "m") == {1: State.AVAILABLE}

    def test_the_same_complaint_is_logged_once(
        self, manager: ModelManager, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ):
        base = make(tmp_path / "m", 1)
        manager.reload([_entry(base)])
        base.rename(tmp_path / "away")
        with caplog.at_level(logging.ERROR):
            for _ in range(3):
                manager.reload([_entry(base)])
        assert [record.getMessage() for record in caplog.records] == [
            (
                f"cannot look for versions: Could not find base path {base} for servable m with error NOT_FOUND: "
                f"{base} not found"
            ),
        ]

    def test_no_polling_when_it_is_off(self, manager: ModelManager):
        before = threading.active_count()
        manager.start()
        assert threading.active_count() == before
