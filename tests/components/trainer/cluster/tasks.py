"""A stand-in for the Trainer's program, and what tests ask about its processes."""

from __future__ import annotations

import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

from penstock.components.trainer.cluster.launcher import run_cluster
from penstock.components.trainer.cluster.process import Program
from penstock.components.trainer.cluster.topology import Cluster, Task, TaskType

# `start` is 1 the first time that a task runs, then 2, …: by its log, since it may be ended before it writes anything.
_PROGRAM = """
import json, os, signal, subprocess, sys, time
from pathlib import Path
from penstock.components.trainer.cluster.lifeline import end_with_parent
end_with_parent()
task = json.loads(os.environ["TF_CONFIG"])["task"]
folder = Path(sys.argv[1])
name = f"{task['type']}-{task['index']}"
with (folder / f"{name}.pids").open("a") as file:
    print(os.getpid(), file=file)
start = (folder / "logs" / f"trainer-{name}.log").read_text().count("--- ")
exec((folder / f"{name}.py").read_text())
"""
FOREVER = "time.sleep(600)"


class Tasks:
    """Programs of tasks in a folder, and what a run of them left."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reports: list[str] = []
        self.clusters: list[Cluster] = []
        (folder / "program.py").write_text(_PROGRAM)
        self.program = Program(
            [sys.executable, str(folder / "program.py"), str(folder)],
            {},
            folder / "logs" / "trainer",
            folder / "errors",
        )

    def write(self, **sources: str) -> None:
        """Say what each task does: ``worker_0="print(1)"``."""
        for name, source in sources.items():
            (self.folder / f"{name.replace('_', '-')}.py").write_text(textwrap.dedent(source))

    def make_cluster(self) -> Cluster:
        """Return a cluster of the tasks that were written; addresses are new ones each time."""
        names = sorted(path.stem for path in self.folder.glob("*-?.py"))
        kinds: list[TaskType] = ["chief", "worker", "ps"]
        number = len(self.clusters)
        counts = {kind: sum(name.startswith(kind) for name in names) for kind in kinds}
        cluster = Cluster(
            {kind: tuple(f"{kind}{i}.start{number}:1" for i in range(n)) for kind, n in counts.items() if n}
        )
        self.clusters.append(cluster)
        return cluster

    def report(self, task: Task, kind: str, text: str) -> None:
        self.reports.append(f"{task}: {kind}: {text}")

    def run(self, *, max_restarts: int = 0) -> None:
        run_cluster(self.make_cluster, self.program, max_restarts=max_restarts, report=self.report)

    def log(self, name: str) -> str:
        return (self.folder / "logs" / f"trainer-{name}.log").read_text()

    def starts(self, name: str) -> list[str]:
        """Return what a task's log says of each start, without the time."""
        return [line.rpartition(",")[0] for line in self.log(name).splitlines() if line.startswith("--- ")]

    def alive(self) -> list[int]:
        """Return the numbers of all tasks' processes that run still."""
        numbers = [int(line) for path in self.folder.glob("*.pids") for line in path.read_text().split()]
        return [number for number in numbers if is_alive(number)]


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"  # Dead, whether or not somebody has asked how it ended.


def wait_until(condition: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)
