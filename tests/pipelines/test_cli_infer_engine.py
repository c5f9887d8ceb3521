"""Which runners and options ``penstock infer`` takes, before it imports anything."""

import pytest

from penstock.errors import ConfigError
from penstock.pipelines.cli.infer_engine import engine_for, require_known

WELL = {"project": "p", "region": "r", "temp_location": "gs://b/t", "setup_file": "auto"}


@pytest.mark.parametrize(
    ("runner", "options"),
    [
        ("direct", {"direct_num_workers": "2"}),
        ("DirectRunner", {}),
        ("flink", {"parallelism": "2", "flink_master": "localhost:8081"}),
        ("dataflow", WELL),
        ("my.own.Runner", {"anything": "goes"}),
    ],
)
def test_known(runner, options):
    require_known(runner, options)


def test_no_such_runner():
    with pytest.raises(ConfigError) as raised:
        require_known("flnk", {})
    assert str(raised.value) == (
        "--runner: Beam has no runner 'flnk'\n"
        "  expected: one of direct, dataflow, flink, spark, prism, portable, or another of Beam's\n"
        "  next: did you mean 'flink'?"
    )


def test_no_such_option():
    with pytest.raises(ConfigError) as raised:
        require_known("flink", {"paralelism": "2"})
    assert str(raised.value) == (
        "--beam: Beam has no option 'paralelism'\n  expected: a flag of Beam\n  next: did you mean 'parallelism'?"
    )


@pytest.mark.parametrize("name", ["project", "region", "temp_location"])
def test_dataflow_needs(name):
    with pytest.raises(ConfigError, match=f"Dataflow needs {name}") as raised:
        require_known("dataflow", {key: value for key, value in WELL.items() if key != name})
    assert str(raised.value.expected).startswith(f"--beam {name}=…, ")


def test_dataflows_workers_need_the_code():
    with pytest.raises(ConfigError, match="Dataflow's workers would not have Penstock's code"):
        require_known("dataflow", {**WELL, "setup_file": None})


def test_the_direct_runner_needs_nothing():
    with engine_for(["--runner=FnApiRunner", "--direct_running_mode=in_memory", "--profile_cpu"]) as flags:
        assert flags == ["--runner=FnApiRunner", "--direct_running_mode=in_memory", "--profile_cpu"]
