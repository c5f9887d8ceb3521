"""The record of a running server."""

import os
import subprocess
import sys
from functools import partial

import pytest

from penstock.errors import EnvironmentProblem
from penstock.serving.model_config import ModelEntry, ModelsFile
from penstock.serving.running import (
    describe_process,
    entries_of,
    forget_server,
    read_record,
    record_server,
    running_server,
)


def describe(*configs, pid=None):
    return describe_process(pid or os.getpid(), "embedded", "127.0.0.1:8500", "http://127.0.0.1:8501", configs)


def test_a_server_is_found_beside_each_of_its_configs(tmp_path):
    configs = [tmp_path / "a.config", tmp_path / "b.config"]
    server = describe(*configs)
    record_server(server)
    assert [running_server(config) for config in configs] == [server, server]
    assert running_server(tmp_path / "c.config") is None
    forget_server(server)
    assert running_server(configs[0]) is None


def test_a_later_server_is_not_forgotten_with_an_earlier_one(tmp_path):
    first, second = (
        describe(tmp_path / "a"),
        describe_process(os.getpid(), "official", "h:1", "http://h", [tmp_path / "a"]),
    )
    record_server(first)
    record_server(second)
    forget_server(first)
    assert running_server(tmp_path / "a") == second


def test_a_process_that_has_ended_is_no_server(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    record_server(describe(tmp_path / "a", pid=process.pid))
    assert running_server(tmp_path / "a") is not None
    process.communicate()
    assert running_server(tmp_path / "a") is None
    assert read_record(tmp_path / "a") is not None


def test_all_that_the_server_serves(tmp_path):
    configs = [tmp_path / "a.config", tmp_path / "b.config"]
    for config in configs:
        entry = ModelEntry(config.stem, f"/{config.stem}")
        ModelsFile(config).update(partial(lambda only, _entries: (only,), entry))
    record_server(describe(*configs))
    server = running_server(configs[0])
    assert server is not None
    assert [entry.name for entry in entries_of(server)] == ["a", "b"]


def test_models_that_stand_in_no_config_are_served_on(tmp_path):
    config = tmp_path / "a.config"
    ModelsFile(config).update(lambda _: (ModelEntry("a", "/elsewhere/a"),))
    plain = [ModelEntry("wine", "/serving/wine"), ModelEntry("a", "/serving/a")]
    record_server(describe_process(os.getpid(), "embedded", "h:1", "http://h", [config], plain))
    server = running_server(config)
    assert server is not None
    assert server.plain == {"wine": "/serving/wine", "a": "/serving/a"}
    # One that stands in a config by now is served as that says.
    assert entries_of(server) == [ModelEntry("a", "/elsewhere/a"), ModelEntry("wine", "/serving/wine")]


def test_a_hand_written_config_beside_a_base_path_is_not_what_the_server_runs_with(tmp_path):
    config = tmp_path / "models.config"
    config.write_text('model_config_list { config { name: "b" base_path: "/b" model_platform: "tensorflow" } }')
    plain = [ModelEntry("wine", "/serving/wine")]
    server = describe_process(os.getpid(), "embedded", "h:1", "http://h", [config], plain)
    assert entries_of(server) == plain


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(EnvironmentProblem, match="the server's addresses cannot be recorded: No such file"):
        record_server(describe(tmp_path / "no" / "models.config"))
