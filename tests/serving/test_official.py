"""The commands that start the official server and its image."""

import shlex
from pathlib import Path

import pytest

from penstock.errors import ConfigError
from penstock.serving.official import ServeOptions, find_official, image_command, official_command, shell

OPTIONS = ServeOptions(
    config=Path("/p/serving/models.config"),
    host="127.0.0.1",
    grpc_port=8500,
    rest_port=9501,
    monitoring=Path("/p/.penstock/monitoring.config"),
)


def test_the_binary():
    assert official_command("/bin/tensorflow_model_server", OPTIONS) == [
        "/bin/tensorflow_model_server",
        "--port=8500",
        "--rest_api_port=9501",
        "--model_config_file=/p/serving/models.config",
        "--model_config_file_poll_wait_seconds=1",
        "--file_system_poll_wait_seconds=1",
        "--allow_version_labels_for_unavailable_models=true",
        "--monitoring_config_file=/p/.penstock/monitoring.config",
    ]


@pytest.mark.parametrize(("per_model", "last"), [(False, []), (True, ["--enable_per_model_batching_parameters=true"])])
def test_batching_is_switched_on_with_its_file_or_with_those_of_the_models(per_model, last):
    batching = ServeOptions(Path("/m"), "::1", 1, 2, batching=Path("/b"), per_model_batching=per_model)
    flags = official_command("x", batching)
    assert flags[flags.index("--enable_batching=true") :] == [
        "--enable_batching=true",
        "--batching_parameters_file=/b",
        *last,
    ]


@pytest.mark.parametrize(
    ("host", "published"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "0.0.0.0"),
        ("::1", "[::1]"),
        ("::", "[::]"),
        ("2001:db8:0::1", "[2001:db8::1]"),
    ],
)
def test_the_image_is_published_on_the_address(host, published):
    command = image_command(ServeOptions(Path("/m"), host, 8500, 9501), [])
    assert [flag for flag in command if flag.startswith("--publish")] == [
        f"--publish={published}:8500:8500",
        f"--publish={published}:9501:8501",
    ]


def test_the_image_is_not_published_on_a_name():
    """Docker takes addresses alone."""
    command = image_command(ServeOptions(Path("/m"), "localhost", 8500, 8501), [])
    assert command[3] in ("--publish=127.0.0.1:8500:8500", "--publish=[::1]:8500:8500")
    with pytest.raises(ConfigError, match=r"no\.such\.host\.invalid has no address to publish a container on: "):
        image_command(ServeOptions(Path("/m"), "no.such.host.invalid", 8500, 8501), [])


def test_the_image_gets_the_folders_where_they_are_and_ports_on_the_address_asked_for():
    folders = [Path("/p/serving/digits"), Path("/p/serving"), Path("/p/.penstock")]
    assert image_command(OPTIONS, folders) == [
        "docker",
        "run",
        "--rm",
        "--publish=127.0.0.1:8500:8500",
        "--publish=127.0.0.1:9501:8501",
        "--volume=/p/.penstock:/p/.penstock:ro",
        "--volume=/p/serving:/p/serving:ro",
        "tensorflow/serving",
        "--model_config_file=/p/serving/models.config",
        "--model_config_file_poll_wait_seconds=1",
        "--file_system_poll_wait_seconds=1",
        "--allow_version_labels_for_unavailable_models=true",
        "--monitoring_config_file=/p/.penstock/monitoring.config",
    ]


def test_a_command_as_shell_text_means_the_same():
    command = image_command(OPTIONS, [Path("/with space/$x")])
    text = shell(command)
    assert shlex.split(text.replace("\\\n", "")) == command
    assert text.splitlines()[0] == "docker run \\"


def test_it_is_looked_for_on_path(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_official() is None
    binary = tmp_path / "tensorflow_model_server"
    binary.write_text("")
    binary.chmod(0o755)
    assert find_official() == str(binary)
