from __future__ import annotations

import json
import os
import re
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from penstock.components.trainer.cluster import launcher
from penstock.components.trainer.cluster.launcher import run_cluster
from penstock.components.trainer.cluster.topology import Task
from penstock.errors import ConfigError, EnvironmentProblem, Frame, UserCodeError
from tests.components.trainer.cluster.tasks import FOREVER, Tasks, is_alive, wait_until

KILLED = "os.kill(os.getpid(), signal.SIGKILL)"
WAS_KILLED = "was killed (SIGKILL: out of memory, or somebody ended it)"
REPORTING = """
from penstock.components.trainer.cluster.reporting import reporter_from_environment
report = reporter_from_environment()
"""
ERRORS = """
from penstock.components.trainer.cluster.error_files import TaskError, record_error
from penstock.errors import *
def fail(error, **kwargs):
    record_error(TaskError(error, **kwargs))
    sys.exit(1)
"""


class TestSuccess:
    def test_every_worker_ends_well(self, tasks: Tasks) -> None:
        tasks.write(worker_0="print('hello')", worker_1="print('out'); print('err', file=sys.stderr)")
        tasks.run()
        assert (len(tasks.starts("worker-0")), len(tasks.starts("worker-1"))) == (1, 1)
        assert tasks.reports == []

    def test_each_task_has_a_log(self, tasks: Tasks) -> None:
        tasks.write(worker_0="print('hello')", worker_1="print('out', flush=True); print('err', file=sys.stderr)")
        tasks.run()
        stamp = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d"
        assert re.fullmatch(
            rf"--- worker 0 at worker0\.start0:1, first start, {stamp} ---\nhello\n", tasks.log("worker-0")
        )
        assert re.fullmatch(
            rf"--- worker 1 at worker1\.start0:1, first start, {stamp} ---\nout\nerr\n", tasks.log("worker-1")
        )

    def test_reports_come_in_order(self, tasks: Tasks) -> None:
        tasks.write(worker_0=f"{REPORTING}\nfor epoch in range(100): report.note(f'epoch {{epoch}}')")
        tasks.run()
        assert tasks.reports == [f"worker 0: note: epoch {epoch}" for epoch in range(100)]

    def test_reports_come_at_once(self, tasks: Tasks) -> None:
        tasks.write(
            worker_0=f"""
            {REPORTING.strip().splitlines()[0]}
            reporter_from_environment().note("waiting")
            while not (folder / "seen").exists(): time.sleep(0.01)
            """
        )
        seen = []

        def report(task: Task, kind: str, text: str) -> None:
            seen.append((task, kind, text))
            (tasks.folder / "seen").touch()

        run_cluster(tasks.make_cluster, tasks.program, report=report)
        assert seen == [(Task("worker", 0), "note", "waiting")]

    def test_a_task_that_closes_its_pipe_goes_on(self, tasks: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
        looks: list[float] = []
        poll = launcher._Crew._poll

        def counted(crew: launcher._Crew) -> None:
            looks.append(time.monotonic())
            poll(crew)

        monkeypatch.setattr(launcher._Crew, "_poll", counted)
        tasks.write(worker_0="os.close(int(os.environ['PENSTOCK_REPORT_FD'])); time.sleep(0.5)")
        tasks.run()
        # Each look waits, but for those that find the pipe closed and the task at its end.
        assert len(looks) <= 2 * (looks[-1] - looks[0]) / launcher._TICK_SECONDS + 5

    def test_servers_are_ended_after_the_chief(self, tasks: Tasks) -> None:
        tasks.write(chief_0="", worker_0=FOREVER, worker_1=FOREVER, ps_0=FOREVER)
        tasks.run()
        assert tasks.alive() == []

    def test_a_server_that_does_not_listen_is_killed(self, tasks: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(launcher, "_GRACE_SECONDS", 0.1)
        ready = "(folder / 'ready').touch()"
        tasks.write(
            chief_0="while not (folder / 'ready').exists(): time.sleep(0.01)",
            worker_0=f"signal.signal(signal.SIGTERM, signal.SIG_IGN); {ready}; {FOREVER}",
            ps_0=FOREVER,
        )
        tasks.run()
        assert tasks.alive() == []

    def test_what_a_task_started_ends_with_it(self, tasks: Tasks) -> None:
        tasks.write(worker_0="print(subprocess.Popen(['sleep', '600']).pid)")
        tasks.run()
        child = int(tasks.log("worker-0").split()[-1])
        wait_until(lambda: not is_alive(child))


class TestFailure:
    def test_the_error_that_a_task_left(self, tasks: Tasks) -> None:
        frames = (Frame("model.py", 3, "build", "units = 1 / 0"),)
        tasks.write(
            worker_0=FOREVER,
            worker_1=ERRORS
            + "fail(UserCodeError('model_fn failed', where='model.py:3', hint='look', frames=("
            + "Frame('model.py', 3, 'build', 'units = 1 / 0'),)))",
        )
        with pytest.raises(UserCodeError) as raised:
            tasks.run(max_restarts=3)
        expected = UserCodeError("model_fn failed", where="model.py:3", hint="look", frames=frames)
        assert raised.value.to_dict() == expected.to_dict()
        assert tasks.alive() == []
        assert len(tasks.starts("worker-1")) == 1

    def test_an_error_without_a_place_gets_one(self, tasks: Tasks) -> None:
        tasks.write(worker_0=ERRORS + "fail(ConfigError('no label'))")
        with pytest.raises(ConfigError) as raised:
            tasks.run()
        assert str(raised.value) == f"worker 0: no label\n  next: see {tasks.folder}/logs/trainer-worker-0.log"

    def test_a_killed_task(self, tasks: Tasks) -> None:
        tasks.write(worker_0=FOREVER, worker_1=f"print('epoch 1\\n\\nepoch 2', flush=True); {KILLED}")
        with pytest.raises(EnvironmentProblem) as raised:
            tasks.run()
        assert str(raised.value) == (
            f"worker 1 {WAS_KILLED}\n"
            "  received: these last lines of its log:\n"
            "    epoch 1\n"
            "    epoch 2\n"
            f"  next: see {tasks.folder}/logs/trainer-worker-1.log; "
            "max_restarts lets tasks that died go on from the last checkpoint"
        )
        assert tasks.alive() == []

    def test_an_exit_code_without_an_error(self, tasks: Tasks) -> None:
        tasks.write(worker_0="sys.exit(3)")
        with pytest.raises(EnvironmentProblem) as raised:
            tasks.run()
        assert raised.value.what == "worker 0 ended with exit code 3 and left no error"
        assert raised.value.received == "no output"

    def test_an_error_counts_whatever_the_exit_code(self, tasks: Tasks) -> None:
        tasks.write(worker_0=ERRORS + "record_error(TaskError(ConfigError('no label')))")
        with pytest.raises(ConfigError, match="no label"):
            tasks.run()

    def test_a_server_that_ends_by_itself(self, tasks: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(launcher, "_SETTLE_SECONDS", 0.1)
        tasks.write(chief_0=FOREVER, worker_0=FOREVER, ps_0="")
        with pytest.raises(EnvironmentProblem) as raised:
            tasks.run()
        assert raised.value.what == "ps 0 ended before the training did"

    def test_the_cause_is_told_not_its_consequence(self, tasks: Tasks, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(launcher, "_SETTLE_SECONDS", 60)
        lost = "(folder / 'told').touch(); fail(EnvironmentProblem('connection lost'), peer_lost=True)"
        tasks.write(
            worker_0=f"{ERRORS}\n{lost}",
            worker_1=f"while not (folder / 'told').exists(): time.sleep(0.01)\ntime.sleep(0.3); {KILLED}",
        )
        with pytest.raises(EnvironmentProblem, match=r"^worker 1 was killed"):
            tasks.run()

    def test_a_consequence_is_told_if_nothing_else_is_known(
        self, tasks: Tasks, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(launcher, "_SETTLE_SECONDS", 0.1)
        tasks.write(worker_0=ERRORS + "fail(EnvironmentProblem('connection lost'), peer_lost=True)", worker_1=FOREVER)
        with pytest.raises(EnvironmentProblem) as raised:
            tasks.run()
        assert (raised.value.where, raised.value.what) == ("worker 0", "connection lost")

    def test_an_old_error_does_not_count(self, tasks: Tasks) -> None:
        tasks.program.error_files.mkdir()
        (tasks.program.error_files / "worker-0.json").write_text("old")
        tasks.write(worker_0="")
        tasks.run()
        assert list(tasks.program.error_files.iterdir()) == []

    def test_no_such_program(self, tasks: Tasks) -> None:
        tasks.write(worker_0=FOREVER)
        program = replace(tasks.program, command=["/no/such program", "x"])
        with pytest.raises(EnvironmentProblem) as raised:
            run_cluster(tasks.make_cluster, program)
        assert str(raised.value) == (
            "the tasks of the cluster cannot be started: No such file or directory\n  received: '/no/such program' x"
        )

    @pytest.mark.parametrize(
        "error", [KeyboardInterrupt(), OSError("the terminal is gone")], ids=["interrupt", "error"]
    )
    def test_whatever_is_raised_ends_all(self, tasks: Tasks, error: BaseException) -> None:
        tasks.write(worker_0=FOREVER, worker_1=f"{REPORTING}\nreport.note('x')\n{FOREVER}")

        def report(task: Task, kind: str, text: str) -> None:
            raise error

        with pytest.raises(type(error)):
            run_cluster(tasks.make_cluster, tasks.program, report=report)
        assert tasks.alive() == []

    def test_no_descriptor_is_left(self, tasks: Tasks) -> None:
        before = _descriptors()
        tasks.write(worker_0="", worker_1="sys.exit(1)")
        with pytest.raises(EnvironmentProblem):
            tasks.run(max_restarts=1)
        # Some that others left open may be closed meanwhile, when their owner is collected as garbage.
        assert _descriptors() <= before


class TestRestarts:
    def test_all_tasks_start_again(self, tasks: Tasks) -> None:
        tasks.write(worker_0=f"if start == 1: {FOREVER}", worker_1=f"if start == 1: {KILLED}")
        tasks.run(max_restarts=2)
        assert tasks.reports == [
            f"worker 1: note: {WAS_KILLED}; all tasks start again, restart 1 of 2",
        ]
        for index in (0, 1):
            assert tasks.starts(f"worker-{index}") == [
                f"--- worker {index} at worker{index}.start0:1, first start",
                f"--- worker {index} at worker{index}.start1:1, restart 1 of 2",
            ]
        assert tasks.alive() == []

    def test_restarts_are_counted(self, tasks: Tasks) -> None:
        tasks.write(worker_0=f"print('start', start, flush=True); {KILLED}")
        with pytest.raises(EnvironmentProblem) as raised:
            tasks.run(max_restarts=2)
        assert len(tasks.starts("worker-0")) == 3
        assert raised.value.received == "these last lines of its log:\n    start 3"
        assert raised.value.hint == (f"see {tasks.folder}/logs/trainer-worker-0.log; max_restarts: 2 was not enough")

    def test_problems_of_the_machine_are_tried_again(self, tasks: Tasks) -> None:
        tasks.write(worker_0=ERRORS + "if start == 1: fail(EnvironmentProblem('no space'))")
        tasks.run(max_restarts=1)
        assert tasks.reports == ["worker 0: note: failed: no space; all tasks start again, restart 1 of 1"]

    def test_a_worker_beside_servers_starts_again_in_its_place(self, tasks: Tasks) -> None:
        tasks.write(
            chief_0="while not (folder / 'back').exists(): time.sleep(0.01)",
            worker_0=f"if start == 1: {KILLED}\n(folder / 'back').touch(); {FOREVER}",
            worker_1=FOREVER,
            ps_0=FOREVER,
        )
        tasks.run(max_restarts=1)
        assert tasks.reports == [
            f"worker 0: note: {WAS_KILLED}; it starts again while the others go on, restart 1 of 1"
        ]
        assert [len(tasks.starts(name)) for name in ("chief-0", "worker-1", "ps-0")] == [1, 1, 1]
        assert tasks.starts("worker-0") == [
            "--- worker 0 at worker0.start0:1, first start",
            "--- worker 0 at worker0.start0:1, restart 1 of 1",
        ]
        assert tasks.alive() == []

    def test_a_worker_beside_servers_without_a_restart_left(self, tasks: Tasks) -> None:
        tasks.write(chief_0=FOREVER, worker_0=KILLED, ps_0=FOREVER)
        with pytest.raises(EnvironmentProblem, match=r"^worker 0 was killed"):
            tasks.run()
        assert tasks.alive() == []

    @pytest.mark.parametrize("dead", ["chief", "ps"])
    def test_without_chief_or_server_all_start_again(self, tasks: Tasks, dead: str) -> None:
        again = {"chief": "", "worker": FOREVER, "ps": FOREVER}
        first = {**dict.fromkeys(again, FOREVER), dead: KILLED}
        tasks.write(**{f"{kind}_0": f"if start == 1: {first[kind]}\n{again[kind]}" for kind in again})
        tasks.run(max_restarts=1)
        assert len(tasks.clusters) == 2
        assert tasks.alive() == []


def _descriptors() -> set[tuple[str, str]]:
    """Return number and target of each open file of this process, but for that which lists them."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            found.add((entry.name, str(entry.readlink())))
    return {one for one in found if one[1] != f"/proc/{os.getpid()}/fd"}


def test_the_environment_of_a_task(tasks: Tasks) -> None:
    tasks.write(worker_0="print(json.dumps(dict(os.environ)))", worker_1="")
    tasks.program = replace(tasks.program, environment={"GIVEN": "1", "TF_CONFIG": "old"})
    tasks.run()
    environment = json.loads(tasks.log("worker-0").splitlines()[1])
    assert environment["GIVEN"] == "1"
    assert json.loads(environment["TF_CONFIG"]) == {
        "cluster": {"worker": ["worker0.start0:1", "worker1.start0:1"]},
        "task": {"type": "worker", "index": 0},
    }
    assert environment["PENSTOCK_ERROR_FILE"] == f"{tasks.folder}/errors/worker-0.json"
    assert "PENSTOCK_LIFELINE_FD" not in environment
    assert os.environ.get("TF_CONFIG") is None
