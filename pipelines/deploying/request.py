"""What ``penstock deploy`` was asked to do, and what it did."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from penstock.pipelines.config import KubeflowConfig, ScheduleConfig
from penstock.pipelines.deploying.follow import Source
from penstock.pipelines.kubeflow import Compiled


@dataclass(frozen=True)
class Request:
    """One deployment.

    Attributes:
        pipeline: The pipeline's name in the config.
        file: Name of the config's file.
        steps: The steps in the config's order.
        compile: Compiles it; takes seconds.
        settings: The config's ``kubeflow`` block.
        parameters: Values of this run's parameters; the others keep their defaults.
        experiment: Name of the experiment.
        run_name: Name of the run, or of the schedule's runs.
        schedule: When it runs by itself; None to run it once, at once.
    """

    pipeline: str
    file: str
    steps: tuple[str, ...]
    compile: Callable[[], Compiled]
    settings: KubeflowConfig
    parameters: Mapping[str, Any]
    experiment: str
    run_name: str
    schedule: ScheduleConfig | None


class Run(Source, Protocol):
    """A run that was started.

    Attributes:
        page: The address of its page.
    """

    page: str

    @property
    def steps(self) -> Mapping[str, str]:
        """Task name → step name."""


@dataclass(frozen=True)
class Deployed:
    """What became of it.

    Attributes:
        run: The run; None where a schedule was made instead.
        facts: Names, ids and addresses, as JSON data.
    """

    run: Run | None
    facts: dict[str, Any]
