"""What the Resolver's strategy `latest` takes for the newest."""

from __future__ import annotations

from typing import Any

import pytest


def _pushed(number: int, pushed: int) -> Any:
    from tfx.types import standard_artifacts

    artifact = standard_artifacts.PushedModel()
    artifact.id = number
    artifact.set_int_custom_property("pushed", pushed)
    return artifact


def _latest(**found: list[Any]) -> Any:
    from penstock.pipelines.latest_artifacts import LatestArtifacts

    resolved = LatestArtifacts().resolve_artifacts(None, found)
    return resolved and {name: [artifact.id for artifact in artifacts] for name, artifacts in resolved.items()}


@pytest.mark.parametrize(("outcomes", "newest"), [([1, 1], 2), ([1, 0], 1), ([0, 1, 0, 0], 2)])
def test_a_push_that_pushed_nothing_is_not_the_newest(outcomes: list[int], newest: int):
    found = [_pushed(number, pushed) for number, pushed in enumerate(outcomes, start=1)]
    assert _latest(pushed_model=found) == {"pushed_model": [newest]}


def test_where_nothing_was_ever_pushed_there_is_no_pushed_model():
    assert _latest(pushed_model=[_pushed(1, 0)]) is None


def test_other_artifacts_are_taken_as_they_are():
    from tfx.types import standard_artifacts

    models = [standard_artifacts.Model() for _ in range(2)]
    for number, model in enumerate(models, start=1):
        model.id = number
    assert _latest(model=models, pushed_model=[_pushed(3, 1)]) == {"model": [2], "pushed_model": [3]}


def test_the_pipeline_names_it_by_its_path():
    from penstock.pipelines.build import _resolver
    from penstock.pipelines.graph import Step
    from penstock.pipelines.resolver import RESOLVER, ResolverConfig

    config = ResolverConfig(strategy="latest", artifacts={"served": "PushedModel"})
    node = _resolver(Step(name="served", type=RESOLVER, config=config), config)
    assert "penstock.pipelines.latest_artifacts.LatestArtifacts" in str(node.exec_properties) + repr(node.__dict__)
