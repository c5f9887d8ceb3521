"""The config and the labels; how versions follow is in test_lifecycle.py."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from penstock.serving.errors import Code, ServingError
from penstock.serving.model_config import ModelEntry
from penstock.serving.models.manager import ManagerOptions, ModelManager
from tests.serving.models.fakes import (
    PATIENCE,
    FakeLoader,
    answering,
    entry_of,
    make,
    wait_for,
)


def _error(manager: ModelManager, *entries: ModelEntry) -> tuple[Code, str]:
    with pytest.raises(ServingError) as caught:
        manager.reload(entries)
    return caught.value.code, caught.value.message


class TestReload:
    def test_it_waits_for_the_models(self, manager: ModelManager, tmp_path: Path):
        manager.reload([entry_of(make(tmp_path / "m", 1, 2)), entry_of(make(tmp_path / "n", 7))])
        assert answering(manager, ("m", "n")) == {"m": 2, "n": 7}
        assert manager.names() == ["m", "n"]

    def test_it_waits_for_new_models_only(self, manager: ModelManager, loader: FakeLoader, tmp_path: Path):
        base = make(tmp_path / "m", 1)
        manager.reload([entry_of(base)])
        (base / "2").mkdir()
        with loader.held("m", 2) as begun:
            manager.reload([entry_of(base)])
            assert begun()
            assert answering(manager) == {"m": 1}
        wait_for(manager, "m", v1="END", v2="AVAILABLE")

    def test_the_whole_config_is_replaced(self, manager: ModelManager, tmp_path: Path):
        manager.reload([entry_of(make(tmp_path / "m", 1)), entry_of(make(tmp_path / "n", 1))])
        manager.reload([entry_of(tmp_path / "n")])
        wait_for(manager, "m", v1="END")
        assert answering(manager, ("m", "n")) == {"m": None, "n": 1}
        assert manager.names() == ["n"]
        manager.reload([])
        wait_for(manager, "n", v1="END")
        assert manager.names() == []

    def test_a_model_comes_back(self, manager: ModelManager, tmp_path: Path):
        entry = entry_of(make(tmp_path / "m", 1))
        manager.reload([entry])
        manager.reload([])
        manager.reload([entry])
        assert answering(manager) == {"m": 1}

    def test_a_first_config_with_a_model_that_fails(self, manager: ModelManager, loader: FakeLoader, tmp_path: Path):
        loader.fail("m", 3, ServingError(Code.NOT_FOUND, "no such model"))
        assert _error(manager, entry_of(make(tmp_path / "m", 3)), entry_of(make(tmp_path / "n", 1))) == (
            Code.UNKNOWN,
            "1 servable(s) did not become available: {{{name: m version: 3} due to error: NOT_FOUND: no such model}, }",
        )
        assert answering(manager, ("m", "n")) == {"m": None, "n": 1}

    def test_a_later_config_with_models_that_fail(self, manager: ModelManager, loader: FakeLoader, tmp_path: Path):
        manager.reload([])
        for name in ("m", "n"):
            loader.fail(name, 1, ServingError(Code.INTERNAL, "broken"))
        assert _error(manager, entry_of(make(tmp_path / "n", 1)), entry_of(make(tmp_path / "m", 1))) == (
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
        manager.reload([entry_of(make(tmp_path / "m", 1))])
        assert _error(manager, *entries) == (Code.INVALID_ARGUMENT, message)
        assert manager.names() == ["m"]
        assert answering(manager) == {"m": 1}

    def test_it_waits_for_a_version_to_appear(self, loader: FakeLoader, tmp_path: Path):
        manager = ModelManager(ManagerOptions(poll_seconds=0.001), loader)
        base = make(tmp_path / "m")
        manager.start()
        thread = threading.Thread(target=manager.reload, args=([entry_of(base)],), daemon=True)
        thread.start()
        (base / "4").mkdir()
        thread.join(PATIENCE)
        assert answering(manager) == {"m": 4}
        manager.close(PATIENCE)

    def test_it_waits_no_longer_than_it_may(self, loader: FakeLoader, tmp_path: Path):
        manager = ModelManager(ManagerOptions(poll_seconds=0.001, wait_seconds=0.01), loader)
        assert _error(manager, entry_of(make(tmp_path / "m"))) == (
            Code.UNKNOWN,
            "0 servable(s) did not become available: {}",
        )

    def test_closing_ends_the_wait(self, manager: ModelManager, tmp_path: Path):
        caught: list[ServingError] = []

        def reload() -> None:
            with pytest.raises(ServingError) as error:
                manager.reload([entry_of(make(tmp_path / "m"))])
            caught.append(error.value)

        thread = threading.Thread(target=reload)
        thread.start()
        manager.close()
        thread.join(PATIENCE)
        assert (caught[0].code, caught[0].message) == (Code.UNAVAILABLE, "The server is shutting down")


class TestLabels:
    def test_a_label_leads_to_its_version(self, manager: ModelManager, tmp_path: Path):
        base = make(tmp_path / "m", 1, 2)
        manager.reload([entry_of(base, 1, 2)])
        wait_for(manager, "m", v1="AVAILABLE", v2="AVAILABLE")
        manager.reload([entry_of(base, 1, 2, stable=1, canary=2)])
        with manager.use("m", label="stable") as stable, manager.use("m", label="canary") as canary:
            assert (stable.version, canary.version) == (1, 2)
        manager.reload([entry_of(base, 1, 2, stable=2)])
        with manager.use("m", label="stable") as stable:
            assert stable.version == 2
        with pytest.raises(ServingError, match="Unrecognized servable version label: canary"):
            manager.use("m", label="canary").__enter__()

    @pytest.mark.parametrize("version", [2, 9])
    def test_a_label_goes_to_available_versions_only(
        self, manager: ModelManager, loader: FakeLoader, tmp_path: Path, version: int
    ):
        base = make(tmp_path / "m", 1)
        manager.reload([entry_of(base, 1)])
        manager.reload([entry_of(base, 1, stable=1)])
        (base / "2").mkdir()
        with loader.held("m", 2) as begun:
            manager.reload([entry_of(base, 1, 2, stable=1)])
            assert begun()
            assert _error(manager, entry_of(base, 2, stable=version)) == (
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
        code, _ = _error(manager, entry_of(make(tmp_path / "m", 1), stable=1))
        assert code is Code.FAILED_PRECONDITION

    def test_a_new_label_may_be_allowed_anywhere_but_not_a_move(self, loader: FakeLoader, tmp_path: Path):
        manager = ModelManager(ManagerOptions(poll_seconds=0, allow_labels_for_unavailable=True), loader)
        base = make(tmp_path / "m", 1)
        manager.reload([entry_of(base, 1, stable=1)])
        with manager.use("m", label="stable") as servable:
            assert servable.version == 1
        code, message = _error(manager, entry_of(base, 1, stable=2))
        assert code is Code.FAILED_PRECONDITION
        assert message.startswith("Request to assign label to version 2 of model m")
        manager.close(PATIENCE)

    def test_a_label_of_a_version_that_has_gone(self, manager: ModelManager, tmp_path: Path):
        base = make(tmp_path / "m", 1, 2)
        manager.reload([entry_of(base, 1)])
        manager.reload([entry_of(base, 2, stable=1)])
        wait_for(manager, "m", v1="END")
        with pytest.raises(ServingError, match=r"Servable not found for request: Specific\(m, 1\)"):
            manager.use("m", label="stable").__enter__()
