"""A server that follows its config file."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.serving import server_config
from penstock.serving.model_config import ModelEntry, VersionPolicy, format_models, parse_models
from penstock.serving.models import watch
from penstock.serving.models.manager import ManagerOptions
from penstock.serving.server import Server, ServerOptions

pytestmark = pytest.mark.usefixtures("without_tensorflow")


class Complaint(logging.Handler):
    """Keeps what was logged, and tells when: another handler of the same record may not have seen it by then."""

    def __init__(self) -> None:
        super().__init__()
        self.made = threading.Event()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())
        self.made.set()


@pytest.fixture
def followed(make, entry, tmp_path) -> tuple[Server, Path]:
    """A server that follows the file beside it."""
    path = tmp_path / "models.config"
    path.write_text(format_models([entry]))
    server = make(path, config_poll_seconds=0.02)
    server.start()
    return server, path


def write_whole(path: Path, text: str) -> None:
    """Replace a file in one step: a server that looks at it meanwhile must not find the beginning of it."""
    beside = path.with_name("beside")
    beside.write_text(text)
    beside.rename(path)


@pytest.fixture
def complaint() -> Iterator[Complaint]:
    """What a thread that looks again and again complains of."""
    complaint = Complaint()
    watch._LOG.addHandler(complaint)
    yield complaint
    watch._LOG.removeHandler(complaint)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense", "the config of the models is wrong: Invalid protobuf file: "),
        (
            "# What a killed writer left\n",
            "FAILED_PRECONDITION|It is only legal to transition from one ModelConfigList",
        ),
        ("custom_model_config {}", "Missing custom_model_config_loader in ServerCore Options"),
    ],
)
def test_the_config_is_followed_and_a_malformed_one_is_not(followed, complaint, entry, tmp_path, text, message):
    server, path = followed
    write_whole(path, text)
    assert complaint.made.wait(120)
    assert complaint.messages[0].startswith("the config is not taken over: ")
    assert re.search(message, complaint.messages[0])
    assert server.manager.names() == ["m"]
    (tmp_path / "other" / "1").mkdir(parents=True)
    write_whole(path, format_models([entry, ModelEntry("other", str(tmp_path / "other"))]))
    assert server.manager.wait_until(lambda: server.manager.names() == ["m", "other"], 120)


def test_a_config_of_no_models_is_one(followed):
    server, path = followed
    write_whole(path, format_models([]))
    assert server.manager.wait_until(lambda: server.manager.names() == [], 120)


def test_nothing_that_goes_wrong_ends_the_following(followed, complaint, monkeypatch):
    server, path = followed
    errors: list[Exception] = [OSError(116, "Stale file handle"), RuntimeError("nobody expected this")]

    def failing(text: str, where: str) -> tuple[ModelEntry, ...]:
        if errors:
            raise errors.pop(0)
        return parse_models(text, where)

    monkeypatch.setattr(server_config, "parse_models", failing)
    write_whole(path, format_models([]))
    assert server.manager.wait_until(lambda: server.manager.names() == [], 120)
    assert complaint.messages == [
        "the config is not taken over: OSError: [Errno 116] Stale file handle",
        "the config is not taken over: RuntimeError: nobody expected this",
    ]


def test_a_file_that_is_older_than_a_reload_is_not_taken_over(make, entry, tmp_path, monkeypatch):
    """The reload comes after the file was read, and before what was read is applied."""
    path = tmp_path / "models.config"
    write_whole(path, format_models([entry]))
    server = make(path)
    server.start()
    newer = ModelEntry("newer", entry.base_path)

    def overtaken(text: str, where: str) -> tuple[ModelEntry, ...]:
        server.manager.reload([newer])
        return parse_models(text, where)

    monkeypatch.setattr(server_config, "parse_models", overtaken)
    server_config.follow(server.manager, path)
    assert server.manager.names() == ["newer"]


def test_a_label_and_its_version_that_come_in_one_file_come_one_after_the_other(make, entry, tmp_path):
    """As a Pusher writes them that knows no server."""
    path = tmp_path / "models.config"
    base = Path(entry.base_path)

    def write(*versions: int, stable: int) -> None:
        policy = VersionPolicy("specific", versions=versions)
        labels = {"stable": stable}
        write_whole(path, format_models([ModelEntry("m", str(base), policy=policy, labels=labels)]))

    write(1, stable=1)
    options = ManagerOptions(poll_seconds=0.02, load_retries=0, allow_labels_for_unavailable=True)
    server = Server(ServerOptions(grpc_port=0, rest_port=None, config_poll_seconds=0.02), path, options)
    server.start()
    (base / "2").mkdir()
    write(2, stable=2)

    def labelled() -> int:
        with server.manager.use("m", label="stable") as servable:
            return servable.version

    try:
        assert labelled() in (1, 2)
        assert server.manager.wait_until(lambda: labelled() == 2, 120)
        write(1, stable=1)
        assert server.manager.wait_until(lambda: labelled() == 1, 120)
    finally:
        server.stop()
