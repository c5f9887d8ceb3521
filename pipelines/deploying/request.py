"""What ``penstock deploy`` was asked to do, and what it did."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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
        compile: Compiles it; takes seconds.
        settings: The config's ``kubeflow`` block.
        parameters: Values of this run's parameters; the others keep their defaults.
        experiment: Name of the experiment.
        run_name: Name of the run, or of the schedule's runs.
        schedule: When it runs by itself; None to run it once, at once.
    """

    pipeline: str
    file: str
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
        said: Facts for JSON: names, ids and addresses.
    """

    run: Run | None
    said: Mapping[str, Any] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """Return the facts as JSON data."""
        return dict(self.said)
