"""A dry run's store answers as a real one would that was written to, and the real one stays as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ml_metadata import errors
from ml_metadata.metadata_store import ListOptions
from ml_metadata.proto import metadata_store_pb2 as pb

from penstock.metadata.overlay import Overlay, empty_store
from tests.metadata.history import History, two_runs

NOWHERE = Path("nowhere")
RUNS = ("run-1", "run-2", "dry-1", "dry-2")
OF_THE_STORE = {"id", "type_id", "create_time_since_epoch", "last_update_time_since_epoch"}
STEPS = ("examples", "trainer", "pusher", "new")
NAMES = {"pipeline": ("digits",), "pipeline_run": RUNS, "node": tuple(f"digits.{step}" for step in STEPS)}


def seeded() -> Any:
    return two_runs(NOWHERE, empty_store()).store


def told(node: Any) -> str:
    """Return a node without its ids, of which new ones differ, and without times."""
    own = type(node)()
    own.CopyFrom(node)
    for name in {field.name for field in own.DESCRIPTOR.fields} & OF_THE_STORE:
        own.ClearField(name)
    return str(own)


def answers(store: Any) -> dict[str, Any]:
    """Return what a launcher may ask of a store about its runs and steps."""
    asked = [store.get_context_by_type_and_name(kind, name) for kind, names in NAMES.items() for name in names]
    contexts = [context for context in asked if context is not None]
    members = {context.name: store.get_executions_by_context(context.id) for context in contexts}
    executions = {one.id: one for found in members.values() for one in found}
    events = store.get_events_by_execution_ids(list(executions)) if executions else []
    ids = sorted({event.artifact_id for event in events})
    artifacts = {one.id: one for one in (store.get_artifacts_by_id(ids) if ids else ())}
    types = store.get_artifact_types_by_id([one.type_id for one in artifacts.values()]) if artifacts else []

    def link(event: Any) -> tuple[Any, ...]:
        ends = told(executions[event.execution_id]), told(artifacts[event.artifact_id])
        return event.type, event.path.steps[0].key, *ends

    return {
        "contexts": [told(one) for one in contexts],
        "members": {name: sorted(map(told, found)) for name, found in members.items()},
        "attributed": {one.name: sorted(map(told, store.get_artifacts_by_context(one.id))) for one in contexts},
        "executions": sorted(map(told, store.get_executions_by_id(list(executions)) if executions else ())),
        "contexts of": sorted(
            (told(one), sorted(map(told, store.get_contexts_by_execution(key)))) for key, one in executions.items()
        ),
        "events": sorted(map(link, events)),
        "events of artifacts": sorted(map(link, store.get_events_by_artifact_ids(ids) if ids else ())),
        "types": sorted((told(kind), one.type) for one, kind in zip(artifacts.values(), types, strict=True)),
    }


step = st.fixed_dictionaries(
    {
        "run": st.sampled_from(RUNS),
        "step": st.sampled_from(STEPS),
        "state": st.sampled_from(["COMPLETE", "CACHED", "RUNNING", "FAILED"]),
        "component": st.sampled_from(["tfx.components.x.component.Some", "new.Component"]),
        "inputs": st.lists(st.integers(0, 30), max_size=2, unique=True),
        "given": st.one_of(st.none(), st.integers(0, 30), st.sampled_from(["Model", "NewType"])),
        "x": st.integers(0, 3),
    }
)


def write(history: History, steps: list[dict[str, Any]]) -> None:
    """Write what a run would; an artifact is meant by its place among those that there are."""
    known = list(range(1, 10))
    history.begin("dry-1", pipeline="digits")
    for one in steps:
        inputs = {"in": sorted({known[key % len(known)] for key in one["inputs"]})} if one["inputs"] else {}
        given, outputs = one["given"], dict[str, Any]()
        if isinstance(given, int):
            outputs = {"out": known[given % len(known)]}
        elif given is not None:
            outputs = {"out": (given, {"uri": f"/new/{one['x']}", "x": one["x"]})}
        made = history.step(
            one["run"], one["step"], outputs, inputs, one["state"], component=one["component"], x=one["x"]
        )
        known += [key for key in made if key not in known]


@settings(max_examples=20, deadline=None)
@given(st.lists(step, max_size=6))
def test_it_answers_as_a_store_that_was_written_to(steps: list[dict[str, Any]]):
    real, below = seeded(), seeded()
    before, dry = answers(below), Overlay(below)
    write(History(NOWHERE, store=real), steps)
    write(History(NOWHERE, store=dry), steps)
    assert answers(dry) == answers(real)
    assert answers(below) == before


def test_an_empty_store_has_nothing():
    dry = Overlay(empty_store())
    assert dry.get_executions() == []
    two_runs(NOWHERE, dry)
    assert answers(dry) == answers(seeded())


def context(store: Any, name: str) -> Any:
    return pb.Context(type_id=store.get_context_type("pipeline_run").id, name=name)


def test_a_context_is_changed_and_not_made_twice():
    below = seeded()
    dry = Overlay(below)
    with pytest.raises(errors.AlreadyExistsError):
        dry.put_contexts([context(dry, "run-1")])
    run = dry.get_context_by_type_and_name("pipeline_run", "run-1")
    run.custom_properties["x"].int_value = 1
    assert dry.put_contexts([run]) == [run.id]
    assert dry.get_context_by_type_and_name("pipeline_run", "run-1").custom_properties["x"].int_value == 1
    assert "x" not in below.get_context_by_type_and_name("pipeline_run", "run-1").custom_properties
    (execution, *_) = dry.get_executions_by_context(run.id)
    assert [one for one in dry.get_contexts_by_execution(execution.id) if one.id == run.id] == [
        dry.get_context_by_type_and_name("pipeline_run", "run-1")
    ]


def test_what_is_put_back_as_it_was_keeps_its_time():
    """Cache keys hold the whole artifact."""
    dry = Overlay(seeded())
    (artifact,) = dry.get_artifacts_by_id([1])
    dry.put_execution(pb.Execution(type_id=dry.get_execution_types()[0].id), [(artifact, None)], [])
    assert dry.get_artifacts_by_id([1]) == [artifact]


def test_an_execution_is_changed():
    dry = Overlay(seeded())
    (execution,) = dry.get_executions_by_id([1])
    execution.last_known_state = pb.Execution.FAILED
    dry.put_executions([execution])
    assert dry.get_executions_by_id([1])[0].last_known_state == pb.Execution.FAILED


def test_a_lineage_is_put_as_a_whole():
    real, dry = seeded(), Overlay(seeded())
    for store in (real, dry):
        kind = store.get_execution_types()[0].id
        (model,) = store.get_artifacts_by_id([2])
        event = pb.Event(type=pb.Event.INPUT)
        event.path.steps.add().key = "model"
        named = context(store, "run-2")
        runs = [pb.Execution(type_id=kind, last_known_state=pb.Execution.COMPLETE)]
        store.put_lineage_subgraph(runs, [model], [named], [(0, 0, event)], reuse_context_if_already_exist=True)
        run = store.get_context_by_type_and_name("pipeline_run", "run-2")
        assert len(store.get_executions_by_context(run.id)) == 5
    assert answers(dry) == answers(real)


def test_what_it_cannot_do_is_told():
    dry = Overlay(seeded())
    with pytest.raises(NotImplementedError, match="a dry run does not record by PutEvents"):
        dry.put_events([pb.Event(execution_id=1, artifact_id=1, type=pb.Event.INPUT)])
    history = History(NOWHERE, store=dry)
    history.step("run-1", "new")
    run = dry.get_context_by_type_and_name("pipeline_run", "run-1")
    with pytest.raises(NotImplementedError, match="a dry run filters nothing"):
        dry.get_executions_by_context(run.id, ListOptions(filter_query="id > 0"))
