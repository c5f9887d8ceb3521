"""``penstock serve``: which server, on what, and how it ends."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.errors import ConfigError, EnvironmentProblem
from penstock.pipelines.models import serve
from penstock.pipelines.models.find import find_models
from penstock.pipelines.models.follow import Follower, entries_now
from penstock.pipelines.models.serve import Wanted, prepare
from penstock.serving.addresses import bound
from penstock.serving.client import Client
from penstock.serving.model_config import ModelsFile
from penstock.serving.running import entries_of, running_server
from tests.conftest import REPOSITORY
from tests.pipelines.models.command import invoke
from tests.pipelines.models.pushed import bring_parameters, configure, push
from tests.ports import IPV6

OFFICIAL = f'#!/bin/sh\nexec "{sys.executable}" -m tests.serving.fake_main "$@"\n'
READY = "Ctrl-C drains and ends it"
LOG = ".penstock/serving/server.log"


@pytest.fixture
def official(tmp_path, monkeypatch):
    """A ``tensorflow_model_server`` on PATH."""
    binary = tmp_path / "bin" / "tensorflow_model_server"
    binary.parent.mkdir()
    binary.write_text(OFFICIAL)
    binary.chmod(0o755)
    monkeypatch.setenv("PATH", str(binary.parent), prepend=os.pathsep)
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    return binary


def start(*arguments):
    command = [sys.executable, "-m", "penstock", "serve", "--port", "0", "--rest-port", "0", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def until_ready(process):
    lines: list[str] = []
    while not lines or READY not in lines[-1]:
        line = process.stderr.readline()
        assert line, lines
        lines.append(line.rstrip("\n"))
    return lines


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_official_server_is_preferred_told_and_drained(base, config, official, number):
    process = start()
    lines = until_ready(process)
    server = running_server(config)
    assert server is not None
    assert lines == [
        f"digits: version 1, 2 (stable → 1) of {base}",
        f"Starting the official server, {official}; it binds every address of this machine. Its log: {LOG}",
        f"gRPC {server.grpc}, REST {server.rest}/v1/models/digits; {READY}",
    ]
    with Client(grpc=server.grpc, timeout=120) as client:
        assert [status.version for status in client.status("digits")] == [2, 1]
    process.send_signal(number)
    assert process.communicate(timeout=240) == ("", "")
    assert (process.returncode, Path(LOG).read_text()) == (0, "drained\n")
    assert running_server(config) is None


def test_a_second_server_on_a_config_is_refused(base, config, running):
    grpc = running()
    answer = invoke("serve", "--port", 0, "--rest-port", 0)
    assert isinstance(answer.exception, EnvironmentProblem)
    assert answer.exception.what == f"a server runs with {config} already"
    assert f"gRPC {grpc}" in str(answer.exception.received)


def test_a_server_that_does_not_come_up_ends_the_command_with_its_code(base, official):
    official.write_text("#!/bin/sh\necho broken >&2\nexit 3\n")
    process = start()
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 3
    assert errors.endswith("The server ended with exit code 3; its last lines:\n  broken\n")


def test_a_server_that_is_killed_is_told_by_the_code(base, config, official):
    process = start()
    until_ready(process)
    server = running_server(config)
    assert server is not None
    os.kill(server.pid, signal.SIGKILL)
    process.communicate(timeout=240)
    assert process.returncode == 128 + signal.SIGKILL


def test_a_port_in_use(base):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        answer = invoke("serve", "--port", port)
    assert isinstance(answer.exception, EnvironmentProblem)
    assert str(answer.exception) == (
        f"port {port} of 127.0.0.1 cannot be used: Address already in use\n"
        "  expected: a port that nothing else listens on\n"
        "  next: choose others with --port and --rest-port; 0 takes a free one"
    )


def test_one_port_for_both(base):
    port = 18599
    answer = invoke("serve", "--port", port, "--rest-port", port)
    assert "gRPC and REST need a port each" in str(answer.exception)


def test_the_first_free_port_is_held_while_the_second_is_looked_for(config, tmp_path, monkeypatch):
    held: list[socket.socket] = []

    def bound_while_held(host, port):
        assert all(one.fileno() >= 0 for one in held)
        held.append(bound(host, port))
        return held[-1]

    monkeypatch.setattr(serve, "bound", bound_while_held)
    options = prepare(Wanted(tuple(find_models()), grpc_port=0, rest_port=0), tmp_path / ".penstock")
    assert len({options.grpc_port, options.rest_port}) == len(held) == 2
    assert [one.fileno() for one in held] == [-1, -1]


def test_nothing_to_serve(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = invoke("serve")
    assert isinstance(answer.exception, ConfigError)
    assert "no pushed model was found below this folder" in str(answer.exception)


NOT_BATCHED = "wine is not batched: it brings no batching_params.pbtxt, and others do; push it with `batching`"


def test_the_server_is_started_with_what_is_said_about_batches(base, config, official, tmp_path):
    bring_parameters(base, 1)
    push(tmp_path / "plain" / "wine", 1)
    process = start("--batching")
    lines = until_ready(process)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=240)
    assert NOT_BATCHED in lines


@pytest.mark.parametrize("command", [(), ("--print-command",)])
def test_a_model_without_a_version_would_be_waited_for_without_an_end(tmp_path, base, config, command):
    configure(tmp_path / "gone" / "wine", 1, config=config)
    answer = invoke("serve", *command)
    assert isinstance(answer.exception, ConfigError)
    assert (answer.exception.what, answer.exception.where) == (
        "nothing has been pushed yet for wine",
        f"{tmp_path}/gone/wine",
    )


def test_what_keeps_a_server_from_starting_is_told_once(base, config, official):
    line = "2026-01-01 00:00:00.000000: E tensorflow_serving/core/x.cc:7] Could not find base path"
    official.write_text(f"#!/bin/sh\necho '{line}'\necho '{line}'\nexec sleep 600\n")
    process = start()
    said = [process.stderr.readline() for _ in range(3)]
    assert said[-1] == "not started yet: Could not find base path\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=240)
    assert (errors, process.returncode) == (
        "Interrupted before the server had started.\n",
        128 + signal.SIGTERM,
    )


def test_models_that_stand_in_no_config_are_recorded(tmp_path, base, config, official):
    push(tmp_path / "plain" / "wine", 1)
    process = start()
    until_ready(process)
    server = running_server(config)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=240)
    assert server is not None
    assert [entry.name for entry in entries_of(server)] == ["digits", "wine"]


def test_several_configs_become_one_that_we_follow(tmp_path, base, config, server):
    push(tmp_path / "plain" / "wine", 1)
    push(tmp_path / "more" / "iris", 1)
    other = configure(tmp_path / "more" / "iris", 1)
    wanted = Wanted(tuple(find_models()), grpc_port=0, rest_port=0)
    options = prepare(wanted, tmp_path / ".penstock" / "serving")
    assert (options.config, options.config_poll_seconds) == (tmp_path / ".penstock/serving/models.config", 0)
    assert [entry.name for entry in ModelsFile(options.config).read()] == ["digits", "iris", "wine"]
    said: list[str] = []
    with server.running() as grpc, Client(grpc=grpc) as client:
        follower = Follower(wanted.models, client, said.append)
        follower.look()
        told = len(server.configs)
        configure(tmp_path / "more" / "iris", 1, stable=1)
        follower.look()
        follower.look()
        assert len(server.configs) == told + 1
        assert dict(server.entries[1].labels) == {"stable": 1}
        configure(tmp_path / "plain" / "wine", 1, stable=1)
        assert [dict(entry.labels) for entry in entries_now(wanted.models)] == [{"stable": 1}] * 3
        other.write_text("# Generated by Penstock;\n{")
        follower.look()
        follower.look()
    assert len(said) == 1
    assert said[0].startswith(f"the server goes on with the config that it has: {other} is malformed")


def test_two_models_of_one_name(tmp_path, base):
    push(tmp_path / "more" / "digits", 1)
    answer = invoke("serve", "--port", 0, "--rest-port", 0)
    assert "these models cannot be served together: Illegal to list model digits multiple times" in str(
        answer.exception
    )


def test_a_config_of_our_own_is_served_as_it_is(config, tmp_path):
    options = prepare(Wanted(tuple(find_models()), grpc_port=0, rest_port=0), tmp_path / ".penstock")
    assert (options.config, options.config_poll_seconds) == (config, 1)
    assert Path(str(options.monitoring)).read_text().startswith("prometheus_config {")


def test_nothing_pushed_yet(config, base):
    shutil.rmtree(base)
    answer = invoke("serve")
    assert isinstance(answer.exception, ConfigError)
    assert "nothing has been pushed yet for digits" in str(answer.exception)


@IPV6
def test_a_port_of_ipv6_that_is_free_and_one_that_is_not(config, tmp_path):
    wanted = Wanted(tuple(find_models()), host="::1", grpc_port=0, rest_port=0)
    options = prepare(wanted, tmp_path / ".penstock")
    assert options.host == "::1"
    with socket.create_server(("::1", options.grpc_port), family=socket.AF_INET6):
        answer = invoke("serve", "--host", "::1", "--port", options.grpc_port)
    assert f"port {options.grpc_port} of ::1 cannot be used: Address already in use" in str(answer.exception)


def test_an_address_that_is_none(base):
    answer = invoke("serve", "--host", "no.such.host.invalid")
    assert "port 8500 of no.such.host.invalid cannot be used: " in str(answer.exception)
