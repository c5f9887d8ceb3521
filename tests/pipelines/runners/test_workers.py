"""Workers: forked from one process that has imported TensorFlow and TFX, isolated from each other and the terminal."""

import time
from pathlib import Path

import pytest

from penstock.errors import ArtifactError, EnvironmentProblem, PenstockError
from penstock.pipelines.runners.workers import Task, Workers
from penstock.processes import started
from tests.pipelines.runners import tasks
from tests.recorder import Recorder

PATIENCE = 240
"""Seconds until a task that does not get on fails a test; other work may hold the machine."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("workers")


@pytest.fixture(scope="module")
def workers(folder):
    with pytest.MonkeyPatch.context() as patch:
        # Set by TensorFlow Transform when an earlier test imports it.
        patch.delenv("TF_USE_LEGACY_KERAS", raising=False)
        return Workers(folder, folder / "imports.log")


@pytest.fixture
def log(tmp_path):
    return tmp_path / "step.log"


def test_a_result_comes_back(workers, log):
    assert workers.run(tasks.add, 2, 3, log=log) == 5


def test_a_task_works_in_the_project_and_imports_from_it_first(workers, folder, log):
    assert workers.run(tasks.where, log=log) == (str(folder), str(folder))


def test_all_output_goes_to_the_log(workers, log, capfd):
    workers.run(tasks.chatter, log=log)
    text = log.read_text()
    assert "from Python" in text
    assert "from C++" in text
    assert "from a child" in text
    assert capfd.readouterr() == ("", "")


def test_our_errors_come_back_as_they_are(workers, log):
    with pytest.raises(ArtifactError, match="trainer: split 'eval' is empty"):
        workers.run(tasks.refuse, log=log)
    assert "Traceback" in log.read_text()


def test_other_exceptions_come_back_as_one_line(workers, log):
    with pytest.raises(PenstockError, match="ValueError: no such column"):
        workers.run(tasks.stumble, log=log)


def test_a_task_that_leaves_python_says_so(workers, log):
    with pytest.raises(PenstockError, match="SystemExit: nothing to do"):
        workers.run(tasks.leave, log=log)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (tasks.vanish, "the process was gone with exit code 3 before it reported a result"),
        (tasks.die, r"the process was killed \(SIGKILL: out of memory, or somebody ended it\)"),
    ],
)
def test_a_process_that_dies_is_told_with_its_log(workers, log, task, message):
    with pytest.raises(EnvironmentProblem, match=message) as raised:
        workers.run(task, log=log)
    assert raised.value.hint == f"see {log}"


FULL = Path("/dev/full")
"""Takes no byte: every write says that no space is left."""


@pytest.mark.skipif(not FULL.exists(), reason="only Linux has it")
@pytest.mark.parametrize(
    ("task", "received"),
    [
        (tasks.stumble, "your code raised ValueError: no such column"),
        (tasks.refuse, "split 'eval' is empty"),
        (tasks.chatter, "No space left on device"),
    ],
)
def test_an_error_is_not_lost_where_the_log_cannot_be_written(workers, task, received):
    with pytest.raises(EnvironmentProblem, match="/dev/full: the log cannot be written") as raised:
        workers.run(task, log=FULL)
    assert raised.value.received == received
    assert raised.value.hint == "free some space and run again: finished steps are kept"


@pytest.mark.skipif(not FULL.exists(), reason="only Linux has it")
def test_what_prints_nothing_goes_on_where_the_log_cannot_be_written(workers):
    assert workers.run(tasks.add, 2, 3, log=FULL) == 5


def test_a_task_has_the_folder_for_temporary_files_that_is_named(workers, log, tmp_path, monkeypatch):
    monkeypatch.setitem(workers.environment, "TMPDIR", str(tmp_path))
    assert workers.run(tasks.temporary, log=log) == str(tmp_path)


def test_a_log_that_cannot_be_made_is_told(workers, tmp_path):
    log = tmp_path / "file" / "step.log"
    log.parent.touch()
    with pytest.raises(EnvironmentProblem, match=r"step\.log: the log cannot be written") as raised:
        workers.run(tasks.add, 2, 3, log=log)
    assert "File exists" in (raised.value.received or "")


def test_a_stopped_task_ends_by_an_exception_that_cleans_up(workers, log):
    heard = Recorder()
    task = workers.start(tasks.status_and_linger, log=log, sink=heard)
    _wait_for_status(task, heard)
    task.stop(grace=PATIENCE)
    assert task.process.exitcode == 0
    with pytest.raises(PenstockError, match="the run was interrupted"):
        task.result()


def test_a_task_that_will_not_stop_is_killed(workers, log):
    heard = Recorder()
    task = workers.start(tasks.stubborn, log=log, sink=heard)
    _wait_for_status(task, heard)
    task.stop(grace=0.2)
    assert task.process.exitcode == -9


def test_two_tasks_run_at_the_same_time(workers, log, tmp_path):
    slow = workers.start(tasks.linger, log=log)
    assert workers.run(tasks.add, 1, 1, log=tmp_path / "other.log") == 2
    assert not slow.done()
    slow.stop(grace=PATIENCE)


def test_steps_get_keras_3_although_transform_asks_for_keras_2(workers, log, monkeypatch):
    version, switch = workers.run(tasks.keras_of_steps, log=log)
    assert version.startswith("3.")
    assert switch is None


def test_reports_come_before_the_result(workers, log):
    heard = Recorder()
    assert workers.start(tasks.talk, 3, log=log, sink=heard).result() == "done"
    assert heard.notes == ["note 1", "note 2", "note 3"]
    assert heard.statuses[-1] == "step 3/3"
    assert [line.split(": ")[-1] for line in log.read_text().splitlines()] == heard.notes


def test_a_task_that_nobody_listens_to_may_talk(workers, log):
    assert workers.run(tasks.talk, 100, log=log) == "done"


def test_a_hot_loop_sends_few_statuses(workers, log):
    heard = Recorder()
    began = time.monotonic()
    workers.start(tasks.talk, 20_000, log=log, sink=heard).result()
    assert len(heard.notes) == 20_000
    assert len(heard.statuses) <= (time.monotonic() - began) / 0.2 + 1


def test_a_report_is_no_result(workers, log):
    heard = Recorder()
    task = workers.start(tasks.status_and_linger, log=log, sink=heard)
    _wait_for_status(task, heard)
    assert heard.statuses == ["waiting for the others"]
    task.stop(grace=PATIENCE)


def _wait_for_status(task: Task, heard: Recorder) -> None:
    """Wait until a task says that it has begun, so that a signal meets its handler."""
    deadline = time.monotonic() + PATIENCE
    while not heard.statuses and time.monotonic() < deadline:
        Workers.wait([task], timeout=PATIENCE)
        assert not task.done()


def test_a_note_may_be_larger_than_the_pipe(workers, log):
    heard = Recorder()
    workers.start(tasks.note_of, 1 << 20, log=log, sink=heard).result()
    assert [len(note) for note in heard.notes] == [1 << 20]


def test_what_a_task_said_before_it_was_killed_is_told(workers, log):
    heard = Recorder()
    with pytest.raises(EnvironmentProblem, match="the process was killed"):
        workers.start(tasks.note_and_die, log=log, sink=heard).result()
    assert heard.notes == ["about to die"]


def test_a_task_that_cleans_up_does_not_wait_for_room_in_the_pipe(workers, log, tmp_path):
    heard = Recorder()
    task = workers.start(tasks.talk_when_cancelled, 1 << 20, tmp_path / "cleaned", log=log, sink=heard)
    _wait_for_status(task, heard)
    task.stop(grace=PATIENCE)
    assert task.process.exitcode == 0
    assert (tmp_path / "cleaned").exists()
    assert [len(note) for note in heard.notes] == [1 << 20]


def test_a_message_that_ctrl_c_cuts_is_the_last_one_read(workers, log, monkeypatch):
    task = workers.start(tasks.status_and_linger, log=log)
    Workers.wait([task], timeout=PATIENCE)
    with monkeypatch.context() as patch:
        patch.setattr(task.pipe, "_recv_bytes", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            task.done()
    assert task.done()
    task.stop(grace=PATIENCE)
    assert task.process.exitcode == 0


def _interrupted(maxsize=None):
    raise KeyboardInterrupt


def test_a_task_knows_its_log(workers, log):
    assert workers.run(tasks.name_log, log=log) == log


def test_what_a_killed_task_left_behind_holds_nobody_up_and_ends(workers, log, tmp_path):
    with pytest.raises(EnvironmentProblem, match="the process was killed"):
        workers.run(tasks.fork_and_die, tmp_path / "child", log=log)
    assert _ends(int((tmp_path / "child").read_text()))


def test_what_a_stopped_task_left_behind_ends(workers, log, tmp_path):
    task = workers.start(tasks.fork_and_linger, tmp_path / "child", log=log)
    deadline = time.monotonic() + PATIENCE
    while not (tmp_path / "child").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    task.stop(grace=PATIENCE)
    assert task.process.exitcode == 0
    assert _ends(int((tmp_path / "child").read_text()))


def _ends(pid):
    """Whether a process ends; nobody may ask for its exit code, as where no init runs in a container."""
    deadline = time.monotonic() + PATIENCE
    while (running := started(pid) is not None) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not running
