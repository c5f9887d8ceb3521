from __future__ import annotations

from pathlib import Path

import pytest

from penstock.errors import ConfigError
from penstock.serving.batching_config import BatchingOptions, format_batching
from penstock.serving.model_config import ModelEntry, format_monitoring
from penstock.serving.server_flags import parse_flags

BASE = "--model_base_path=/models/m"


def test_the_defaults_are_those_of_tensorflow_serving():
    command = parse_flags([BASE])
    options, manager = command.options, command.manager_options
    assert command.models == (ModelEntry("default", "/models/m"),)
    assert (options.host, options.grpc_port, options.rest_port, options.rest_timeout) == ("127.0.0.1", 8500, None, 30)
    assert (options.cors, options.as_content, options.config_poll_seconds) == (False, False, 0)
    assert (manager.poll_seconds, manager.load_retries, manager.retry_seconds) == (1, 5, 60)
    assert (manager.batching, manager.warm_up, manager.allow_labels_for_unavailable) == (None, True, False)
    assert (manager.transition, manager.per_model_batching) == ("availability_preserving", False)


def test_every_flag_arrives():
    command = parse_flags(
        [
            "--host=0.0.0.0",
            "--port=-1",
            "--rest_api_port",
            "8501",
            "--rest_api_timeout_in_ms=500",
            "--rest_api_enable_cors_support",
            "--model_config_file=/m.config",
            "--model_config_file_poll_wait_seconds=2",
            "--file_system_poll_wait_seconds=3",
            "--max_num_load_retries=1",
            "--load_retry_interval_micros=-1",
            "--num_load_threads=4",
            "--enable_model_warmup=false",
            "--allow_version_labels_for_unavailable_models=true",
            "--aspired_version_policy=resource_preserving",
            "--enable_serialization_as_tensor_content=1",
            "--max_request_bytes=10",
            "--max_concurrency=11",
            "--drain_seconds=12",
        ]
    )
    options, manager = command.options, command.manager_options
    assert command.models == Path("/m.config")
    assert (options.host, options.grpc_port, options.rest_port, options.rest_timeout) == ("0.0.0.0", 0, 8501, 0.5)
    assert (options.cors, options.as_content, options.config_poll_seconds) == (True, True, 2)
    assert (options.max_request_bytes, options.max_concurrency, options.drain_seconds) == (10, 11, 12)
    assert (manager.poll_seconds, manager.load_retries, manager.retry_seconds, manager.load_threads) == (3, 1, 0, 4)
    assert (manager.warm_up, manager.allow_labels_for_unavailable) == (False, True)
    assert manager.transition == "resource_preserving"


def test_batching(tmp_path):
    file = tmp_path / "batching.config"
    file.write_text(format_batching(max_batch_size=8))
    assert parse_flags([BASE, "--enable_batching"]).manager_options.batching == BatchingOptions()
    command = parse_flags([BASE, "--enable_batching=true", f"--batching_parameters_file={file}"])
    assert command.manager_options.batching == BatchingOptions(max_batch_size=8)
    assert not command.manager_options.per_model_batching
    command = parse_flags([BASE, "--enable_batching=true", "--enable_per_model_batching_parameters=true"])
    assert command.manager_options.per_model_batching


def test_monitoring(tmp_path):
    file = tmp_path / "monitoring.config"
    file.write_text(format_monitoring("/metrics"))
    flag = f"--monitoring_config_file={file}"
    assert parse_flags([BASE, flag]).options.metrics_path == "/metrics"
    file.write_text("prometheus_config { enable: false }")
    assert parse_flags([BASE, flag]).options.metrics_path is None


def test_flags_that_tune_what_is_not_here_are_taken(caplog):
    parse_flags([BASE, "--tensorflow_session_parallelism=2", "--enable_profiler"])
    assert "--tensorflow_session_parallelism has no effect on this server" in caplog.text


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "no model to serve"),
        ([BASE, "--prot=1"], "unknown flag '--prot=1'"),
        ([BASE, "--port=many"], "argument --port: expected a whole number, was 'many'"),
        ([BASE, "--port=8500.0"], "argument --port: expected a whole number, was '8500.0'"),
        ([BASE, "--port=0"], "no port to serve on"),
        ([BASE, "--port=8501", "--rest_api_port=8501"], "gRPC and REST need a port each"),
        ([BASE, "--host="], "argument --host: expected an address, was ''"),
        ([BASE, "--drain_seconds=soon"], "argument --drain_seconds: expected a number, was 'soon'"),
        (
            [BASE, "--aspired_version_policy=none"],
            "expected availability_preserving or resource_preserving, was 'none'",
        ),
        (["--model_base_path=models"], "the model cannot be served: Expected model default to have an absolute path"),
        ([BASE, "--model_name="], "the model cannot be served: Illegal to list a model without a name in config list"),
        ([BASE, "--enable_batching=maybe"], "argument --enable_batching: invalid boolean value: 'maybe'"),
        ([BASE, "--batching_parameters_file=/b"], "--batching_parameters_file is set without --enable_batching"),
        ([BASE, "--enable_batching", "--batching_parameters_file=/no/b"], "the file cannot be read: .*/no/b"),
        ([BASE, "--monitoring_config_file=/no/m"], "the file cannot be read: .*/no/m"),
    ],
)
def test_what_is_wrong(flags, message):
    with pytest.raises(ConfigError, match=message):
        parse_flags(flags)


@pytest.mark.parametrize(
    ("flag", "value", "range_"),
    [
        ("port", "65536", "-1 to 65535"),
        ("rest_api_port", "99999", "-1 to 65535"),
        ("rest_api_port", "-2", "-1 to 65535"),
        ("rest_api_timeout_in_ms", "0", "1 to 2147483647"),
        ("model_config_file_poll_wait_seconds", "-1", "0 to 2147483647"),
        ("model_config_file_poll_wait_seconds", "nan", "0 to 2147483647"),
        ("file_system_poll_wait_seconds", "inf", "-1 to 2147483647"),
        ("max_num_load_retries", "-1", "0 to 2147483647"),
        ("load_retry_interval_micros", "1" + "0" * 16, "-2147483647000000 to 2147483647000000"),
        ("num_load_threads", "-1", "0 to 1024"),
        ("max_request_bytes", "0", "1 to 2147483647"),
        ("max_concurrency", "0", "1 to 1024"),
        ("max_concurrency", "-3", "1 to 1024"),
        ("drain_seconds", "-0.1", "0 to 2147483647"),
        ("drain_seconds", "1" + "0" * 400, "0 to 2147483647"),
    ],
)
def test_numbers_have_their_ranges(flag, value, range_):
    with pytest.raises(ConfigError) as caught:
        parse_flags([BASE, f"--{flag}={value}"])
    assert caught.value.what == f"argument --{flag}: expected {range_}, was {value}"


@pytest.mark.parametrize("flag", ["file_system_poll_wait_seconds", "load_retry_interval_micros"])
def test_some_may_be_negative_as_in_tensorflow_serving(flag):
    parse_flags([BASE, f"--{flag}=-1"])


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--monitoring_config_file", "the monitoring config is malformed: "),
        ("--batching_parameters_file", "the batching parameters are wrong: "),
    ],
)
def test_malformed_files(flag, message, tmp_path):
    (tmp_path / "file").write_text("}")
    with pytest.raises(ConfigError, match=message) as caught:
        parse_flags([BASE, "--enable_batching", f"{flag}={tmp_path / 'file'}"])
    assert caught.value.where == str(tmp_path / "file")


def test_a_misspelt_flag_gets_a_hint():
    with pytest.raises(ConfigError) as caught:
        parse_flags([BASE, "--rest_api_prt=1"])
    assert caught.value.hint == "did you mean 'rest_api_port'?"
