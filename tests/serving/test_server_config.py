"""Whatever somebody writes into the file that a server follows, the server goes on."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from threading import Event

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penstock.errors import ConfigError
from penstock.serving.errors import ServingError
from penstock.serving.model_config import ModelEntry, format_models, parse_models
from penstock.serving.models import watch
from penstock.serving.models.manager import ManagerOptions, ModelManager
from penstock.serving.server_config import follow, read_models
from tests.serving.models.fakes import PATIENCE, FakeLoader, answering, make, wait_for

TOKENS = (
    "model_config_list", "custom_model_config", "config", "name", "base_path", "model_platform", "version_labels",
    "key", "value", "model_version_policy", "specific", "versions", "latest", "num_versions", '"m"', "'/m'",
    '"tensorflow"', '"\\000"', '"\\377"', "1", "-1", "9223372036854775808", "1.5", "nan", "{", "}", "<", ">", "[", "]",
    ":", ",", "#", "\n",
)  # fmt: skip
"""What a ``models.config`` is made of."""

CONTENTS = st.one_of(
    st.binary(),
    st.text().map(str.encode),
    st.lists(st.sampled_from(TOKENS)).map(lambda tokens: " ".join(tokens).encode()),
)


class Followed:
    """A manager that follows a file, and the lines that it logs meanwhile."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "models.config"
        self.entry = ModelEntry("m", str(make(folder / "m", 1)), labels={"stable": 1})
        self.manager = ModelManager(ManagerOptions(poll_seconds=0), FakeLoader())
        self.manager.reload([ModelEntry("m", self.entry.base_path)])
        self.manager.reload([self.entry])
        self.records: list[logging.LogRecord] = []
        watch._LOG.addFilter(self._keep)

    def _keep(self, record: logging.LogRecord) -> bool:
        self.records.append(record)
        return False

    def look(self, content: bytes) -> list[logging.LogRecord]:
        """Let the file be looked at three times; return what was logged."""
        self.path.write_bytes(content)
        self.records.clear()
        config = watch.Watch(
            "config", "the config is not taken over", partial(follow, self.manager, self.path), 1, Event()
        )
        for _ in range(3):
            config.look()
        return self.records

    def close(self) -> None:
        watch._LOG.removeFilter(self._keep)
        self.manager.close(PATIENCE)


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Followed]:
    followed = Followed(tmp_path_factory.mktemp("followed"))
    yield followed
    followed.close()


def _config(content: bytes) -> tuple[ModelEntry, ...] | None:
    """Return the models that a text names; None if it is no config."""
    try:
        text = content.decode()
        return parse_models(text) if "model_config_list" in text else None
    except (UnicodeDecodeError, ServingError):
        return None


@given(content=CONTENTS)
@example(content=b"")
@example(content=b"\xff")
@example(content=b"# model_config_list {}")
@example(content=b"model_config_list {} model_config_list {")
@example(content=b'model_config_list { config { name: "\\377" } }')
@example(content=b"model_config_list {" * 500)
def test_what_is_no_config_leaves_the_old_one_and_one_line(followed: Followed, content: bytes):
    records = followed.look(content)
    entries = _config(content)
    if records:
        assert len(records) == 1
        assert records[0].getMessage().startswith("the config is not taken over: ")
        # It is refused for what it is, not by what nobody foresaw.
        assert not records[0].exc_info
        assert followed.manager.names() == ["m"]
    else:
        assert entries is not None
        assert followed.manager.names() == [entry.name for entry in entries]
        followed.manager.reload([ModelEntry("m", followed.entry.base_path)])
        wait_for(followed.manager, "m", v1="AVAILABLE")
        followed.manager.reload([followed.entry])
    assert answering(followed.manager) == {"m": 1}
    with followed.manager.use("m", label="stable") as servable:
        assert servable.version == 1


def test_a_file_that_goes_away(followed: Followed):
    followed.path.unlink(missing_ok=True)
    with pytest.raises(ConfigError, match=r"the config of the models cannot be read: .*No such file"):
        follow(followed.manager, followed.path)
    assert followed.manager.names() == ["m"]


def test_an_empty_file_at_the_start_names_no_models_and_may_do_so_later(tmp_path: Path):
    path = tmp_path / "models.config"
    path.write_text("")
    assert read_models(path) == ()
    manager = ModelManager(ManagerOptions(poll_seconds=0), FakeLoader())
    manager.reload(read_models(path))
    follow(manager, path)
    path.write_text(format_models([ModelEntry("m", str(make(tmp_path / "m", 1)))]))
    follow(manager, path)
    wait_for(manager, "m", v1="AVAILABLE")
    manager.close(PATIENCE)
