"""What a killed run left RUNNING is closed; what another run that may live left is not."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as pb

from penstock.metadata.owners import Owner
from penstock.metadata.vocabulary import END_REASON, NODE, OWNER
from penstock.pipelines.runners.recovery import WORKING_FOLDER, abandon, close_stale
from penstock.processes import machine, started

Start = Callable[..., int]


@pytest.fixture
def store(tmp_path: Path) -> MetadataStore:
    config = pb.ConnectionConfig()
    config.sqlite.filename_uri = str(tmp_path / "metadata.sqlite")
    config.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    return MetadataStore(config)


@pytest.fixture
def me(tmp_path: Path) -> Owner:
    return Owner.here("digits", str(tmp_path), "lock")


@pytest.fixture
def killed(me: Owner) -> Owner:
    """The owner of a run on the same root whose process is gone."""
    with subprocess.Popen(["sleep", "60"]) as process:
        ticks = started(process.pid)
        process.kill()
    assert ticks is not None
    return replace(me, pid=process.pid, started=ticks)


@pytest.fixture
def start(store: MetadataStore) -> Start:
    """Record a RUNNING execution of a step, with what its killed process may have left on the disk."""
    kind = store.put_execution_type(pb.ExecutionType(name="step"))
    run = pb.Context(type_id=store.put_context_type(pb.ContextType(name="pipeline_run")), name="run")
    (context,) = store.put_contexts([run])

    def execution(owner: Owner | None, step: str = "trainer", state: int = pb.Execution.RUNNING) -> int:
        running = pb.Execution(type_id=kind, last_known_state=state)
        running.custom_properties[WORKING_FOLDER].string_value = "work"
        if owner is not None:
            running.custom_properties[OWNER].string_value = owner.text
            running.custom_properties[NODE].string_value = f"{owner.pipeline}.{step}"
        (made,) = store.put_executions([running])
        store.put_attributions_and_associations([], [pb.Association(execution_id=made, context_id=context)])
        root = Path(owner.root if owner else "/nowhere")
        if owner is not None and root.is_dir():
            for folder in _left(root / step, made):
                folder.mkdir(parents=True, exist_ok=True)
                (folder / "half").write_text("half")
        return int(made)

    return execution


def _left(step: Path, execution: int) -> list[Path]:
    own = [step / "model" / str(execution), step / "model_run" / str(execution)]
    return [*own, step / f".system/executor_execution/{execution}/.temp", step / ".system/stateful_working_dir/work"]


def _state(store: MetadataStore, execution: int) -> tuple[str, str]:
    (found,) = store.get_executions_by_id([execution])
    reason: Any = found.custom_properties[END_REASON].string_value
    return pb.Execution.State.Name(found.last_known_state), reason


def test_a_killed_run_is_closed_and_its_outputs_are_removed(store, start, me, killed):
    execution = start(killed)
    finished = Path(me.root, "trainer/model/77")
    finished.mkdir()
    assert close_stale(store, me, "it was killed") == [execution]
    assert _state(store, execution) == ("FAILED", "it was killed")
    assert [folder for folder in _left(Path(me.root, "trainer"), execution) if folder.exists()] == []
    assert finished.is_dir()
    assert close_stale(store, me, "again") == []


def test_a_step_that_the_config_has_no_more_is_closed_too(store, start, me, killed):
    execution = start(killed, "renamed")
    assert close_stale(store, me, "") == [execution]
    assert not Path(me.root, "renamed/model", str(execution)).exists()


@pytest.mark.parametrize(
    ("change", "closed"),
    [
        ({}, True),
        # Another machine's run of this root: it does not hold the lock, since we do.
        ({"machine": "elsewhere"}, True),
        # A root of its own, on this machine: its process is gone.
        ({"lock": "another"}, True),
        # A root of its own on another machine: nobody here can tell.
        ({"lock": "another", "machine": "elsewhere"}, False),
        ({"pipeline": "wine"}, False),
    ],
)
def test_whose_run_is_over(store, start, me, killed, change, closed):
    execution = start(replace(killed, **change))
    assert close_stale(store, me, "") == ([execution] if closed else [])
    assert Path(me.root, "trainer/model", str(execution)).exists() is not closed


@pytest.mark.parametrize("lock", ["lock", "another"])
def test_a_run_that_lives_is_never_touched(store, start, me, lock):
    with subprocess.Popen(["sleep", "60"]) as process:
        ticks = started(process.pid)
        assert ticks is not None
        execution = start(replace(me, pid=process.pid, started=ticks, lock=lock))
        assert close_stale(store, me, "") == []
        process.kill()
    assert _state(store, execution)[0] == "RUNNING"


def test_an_older_process_of_the_same_number_is_another(store, start, me):
    execution = start(replace(me, started=me.started - 1))
    assert close_stale(store, me, "") == [execution]


def test_what_penstock_did_not_start_is_never_touched(store, start, me):
    start(None)
    assert close_stale(store, me, "") == []


def test_a_run_abandons_only_its_own_steps(store, start, me, killed):
    mine, other, foreign = start(me), start(me, "evaluator"), start(killed, "pusher")
    assert abandon(store, me, "run", {"trainer": "its process died", "pusher": "likewise"}) == [mine]
    assert _state(store, mine) == ("FAILED", "its process died")
    assert not Path(me.root, "trainer/model", str(mine)).exists()
    assert [_state(store, one)[0] for one in (other, foreign)] == ["RUNNING", "RUNNING"]


def test_what_a_step_recorded_as_failed_gets_its_reason_and_what_ended_well_none(store, start, me):
    failed, ended = start(me, state=pb.Execution.FAILED), start(me, state=pb.Execution.COMPLETE)
    assert abandon(store, me, "run", {"trainer": "ValueError: no such column"}) == [failed]
    assert _state(store, failed) == ("FAILED", "ValueError: no such column")
    assert _state(store, ended) == ("COMPLETE", "")
    assert Path(me.root, "trainer/model", str(ended)).is_dir()
    assert [folder for folder in _left(Path(me.root, "trainer"), failed) if folder.exists()] == []


def test_a_run_that_recorded_nothing_has_nothing_to_abandon(store, me):
    assert abandon(store, me, "another", {"trainer": ""}) == []


def test_a_link_is_not_followed(store, start, me, killed, tmp_path):
    execution = start(killed, "linked")
    precious = tmp_path / "precious"
    precious.mkdir()
    folder = Path(me.root, "linked/model_run", str(execution))
    (folder / "half").unlink()
    folder.rmdir()
    folder.symlink_to(precious)
    assert close_stale(store, me, "") == [execution]
    assert precious.is_dir()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"pid": 1}', "not JSON"])
def test_what_is_no_owner(text):
    assert Owner.from_text(text) is None


def test_an_owner_comes_back_from_its_text(me):
    assert Owner.from_text(me.text) == me
    assert me.machine == machine()
    assert me.pid == os.getpid()
    assert me.alive() is True
