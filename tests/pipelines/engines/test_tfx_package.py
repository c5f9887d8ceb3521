"""Where TFX packs its own tree for Beam's workers, and where they have it. Imports TFX."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.pipelines.config import BeamConfig
from penstock.pipelines.engines.flags import beam_args
from penstock.pipelines.engines.tfx_package import packed_where_needed, workers_are_here

HERE: list[tuple[str, dict[str, Any]]] = [
    ("direct", {}),
    ("DirectRunner", {}),
    ("direct", {"direct_running_mode": "multi_processing", "direct_num_workers": 2}),
    ("direct", {"environment_type": "LOOPBACK"}),
    ("flink", {}),
    ("portable", {"job_endpoint": "localhost:8099", "environment_type": "LOOPBACK"}),
]
ELSEWHERE: list[tuple[str, dict[str, Any]]] = [
    ("direct", {"environment_type": "DOCKER"}),
    ("dataflow", {"project": "p"}),
    ("flink", {"flink_master": "flink.example.com:8081"}),
    ("flink", {"environment_type": "EXTERNAL", "environment_config": "localhost:50000"}),
    ("portable", {"job_endpoint": "localhost:8099"}),
    ("my.own.Runner", {}),
]


def _args(runner: str, options: dict[str, Any]) -> list[str]:
    return list(beam_args(runner, BeamConfig(runner=runner, options=options).options))


@pytest.fixture
def packed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stands in for the packing; one entry an archive."""
    from tfx.utils import dependency_utils

    made: list[str] = []

    def build() -> str:
        made.append("tfx.tar.gz")
        return made[-1]

    monkeypatch.setattr(dependency_utils, "build_ephemeral_package", build)
    return made


def _executor_flags(args: list[str]) -> list[str]:
    from tfx.components.statistics_gen.executor import Executor

    flags: list[str] = Executor(Executor.Context(beam_pipeline_args=list(args)))._beam_pipeline_args
    return flags


@pytest.mark.parametrize(("runner", "options"), HERE)
def test_workers_on_this_machine_need_no_package(packed: list[str], runner: str, options: dict[str, Any]) -> None:
    args = _args(runner, options)
    assert workers_are_here(args)
    with packed_where_needed():
        flags = _executor_flags(args)
    assert (packed, [flag for flag in flags if "package" in flag]) == ([], [])
    assert flags[: len(args)] == args


@pytest.mark.parametrize(("runner", "options"), ELSEWHERE)
def test_workers_elsewhere_get_one(packed: list[str], runner: str, options: dict[str, Any]) -> None:
    args = _args(runner, options)
    assert not workers_are_here(args)
    with packed_where_needed():
        flags = _executor_flags(args)
    assert (packed, [flag for flag in flags if "package" in flag]) == (["tfx.tar.gz"], ["--extra_package=tfx.tar.gz"])


def test_outside_of_the_block_tfx_packs_as_before(packed: list[str]) -> None:
    with packed_where_needed():
        pass
    _executor_flags(_args("direct", {}))
    assert packed == ["tfx.tar.gz"]
