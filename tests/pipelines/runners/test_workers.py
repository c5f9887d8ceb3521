"""Workers: forked from one process that has imported TensorFlow and TFX, isolated from each other and the terminal."""

import pytest

from penstock.errors import ArtifactError, EnvironmentProblem, PenstockError
from penstock.pipelines.runners.workers import Workers
from tests.pipelines.runners import tasks


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


def test_a_stopped_task_ends_by_an_exception_that_cleans_up(workers, log):
    task = workers.start(tasks.linger, log=log)
    Workers.wait([task], timeout=0.2)
    assert not task.done()
    task.stop(grace=30)
    assert task.process.exitcode == 0
    with pytest.raises(PenstockError, match="the run was interrupted"):
        task.result()


def test_a_task_that_will_not_stop_is_killed(workers, log):
    task = workers.start(tasks.stubborn, log=log)
    Workers.wait([task], timeout=1)
    task.stop(grace=0.2)
    assert task.process.exitcode == -9


def test_two_tasks_run_at_the_same_time(workers, log, tmp_path):
    slow = workers.start(tasks.linger, log=log)
    assert workers.run(tasks.add, 1, 1, log=tmp_path / "other.log") == 2
    assert not slow.done()
    slow.stop(grace=30)


def test_steps_get_keras_3_although_transform_asks_for_keras_2(workers, log, monkeypatch):
    version, switch = workers.run(tasks.keras_of_steps, log=log)
    assert version.startswith("3.")
    assert switch is None
