"""Load on a server of this machine from native generators: ghz for gRPC, wrk for REST.

A client in Python costs more than the server that it asks, so it would measure itself. Both generators are closed
loops: a client sends when it has its answer. So requests a second are what the clients get, and p99 is what they see.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.serving_models import NAME, predict_request, protoset, rest_request
from benchmarks.serving_processes import ServerProcess

INSTALL = {
    "ghz": "go install github.com/bojand/ghz/cmd/ghz@latest",
    "wrk": "apt-get install wrk",
}
_LONGEST_EXTRA_SECONDS = 60
_SKIPPED = 200
"""First requests of each run of ghz, which it leaves out of its report: connections, and what the server caches."""
_SCRIPT = """
function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  wrk.method, wrk.body = "POST", file:read("*a")
  wrk.headers["Content-Type"] = "application/json"
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format('\\n{"count": %d, "seconds": %f, "p50": %f, "p99": %f, "slowest": %f, "errors": %d}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99), latency.max,
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""

Figures = dict[str, Any]


def find(program: str) -> str | None:
    """Return the path of a generator: on PATH, or where ``go install`` puts it."""
    return shutil.which(program) or shutil.which(program, path=str(Path.home() / "go/bin"))


@dataclass(frozen=True)
class Answer:
    """One answer that ghz got: when (seconds since 1970), after how many milliseconds, and whether it was one."""

    at: float
    milliseconds: float
    ok: bool


class Load:
    """Sends requests of some rows to servers.

    Args:
        folder: For the files that the generators read.
        rows: Row counts that requests will have.
        seconds: How long each run takes.
    """

    def __init__(self, folder: Path, rows: Sequence[int], seconds: float) -> None:
        self.seconds = seconds
        self._folder = folder
        (folder / "protoset").write_bytes(protoset())
        (folder / "load.lua").write_text(_SCRIPT, encoding="utf-8")
        for count in rows:
            (folder / f"rows-{count}.pb").write_bytes(predict_request(count))
            (folder / f"rows-{count}.json").write_text(rest_request(count), encoding="utf-8")

    def grpc(self, server: ServerProcess, clients: int, *, rows: int = 1, rate: int = 0) -> Figures:
        """Ask over gRPC, a connection a client; at most ``rate`` requests a second unless it is 0."""
        measured = _Measured(server)
        command = self._ghz(server, clients, rows, rate, self.seconds)
        report = json.loads(_run(command, self.seconds))
        cpu = measured.cpu()
        latencies = {each["percentage"]: each["latency"] / 1e6 for each in report["latencyDistribution"] or ()}
        failed = {status: n for status, n in report["statusCodeDistribution"].items() if status != "OK"}
        return {
            "requests_per_second": round(report["count"] / (report["total"] / 1e9)),
            "p50_ms": round(latencies[50], 3),
            "p99_ms": round(latencies[99], 3),
            "slowest_ms": round(report["slowest"] / 1e6, 1),
            "failed": failed,
            **cpu,
        }

    def rest(self, server: ServerProcess, clients: int, *, rows: int = 1) -> Figures:
        """Ask over REST, a kept connection a client."""
        measured = _Measured(server)
        url = f"http://127.0.0.1:{server.rest_port}/v1/models/{NAME}:predict"
        command = [_required("wrk"), "-t1", f"-c{clients}", f"-d{round(self.seconds)}s", "-s"]
        command += [str(self._folder / "load.lua"), url, "--", str(self._folder / f"rows-{rows}.json")]
        report = json.loads(_run(command, self.seconds).splitlines()[-1])
        return {
            "requests_per_second": round(report["count"] / report["seconds"]),
            "p50_ms": round(report["p50"] / 1e3, 3),
            "p99_ms": round(report["p99"] / 1e3, 3),
            "slowest_ms": round(report["slowest"] / 1e3, 1),
            "failed": {"any": report["errors"]} if report["errors"] else {},
            **measured.cpu(),
        }

    def start_grpc(self, server: ServerProcess, clients: int, rate: int, longest: float) -> RunningLoad:
        """Begin to ask over gRPC, for at most ``longest`` seconds."""
        return RunningLoad(self._ghz(server, clients, 1, rate, longest), self._folder / "answers.json")

    def _ghz(self, server: ServerProcess, clients: int, rows: int, rate: int, seconds: float) -> list[str]:
        return [
            _required("ghz"),
            "--insecure",
            f"--protoset={self._folder / 'protoset'}",
            "--call=tensorflow.serving.PredictionService/Predict",
            f"--binary-file={self._folder / f'rows-{rows}.pb'}",
            f"--concurrency={clients}",
            f"--connections={clients}",
            f"--duration={seconds:g}s",
            "--duration-stop=wait",
            f"--skipFirst={_SKIPPED}",
            "--format=json",
            *([f"--rps={rate}"] if rate else []),
            f"127.0.0.1:{server.port}",
        ]


class RunningLoad:
    """ghz at work, until :meth:`end` tells it to report."""

    def __init__(self, command: Sequence[str], file: Path) -> None:
        self._file = file
        with file.open("wb") as stream:
            self._process = subprocess.Popen(command, stdout=stream)

    def end(self) -> list[Answer]:
        """Stop sending and return every answer."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(_LONGEST_EXTRA_SECONDS)
        report = json.loads(self._file.read_bytes())
        return [
            Answer(datetime.fromisoformat(each["timestamp"]).timestamp(), each["latency"] / 1e6, each["status"] == "OK")
            for each in report["details"]
        ]

    def kill(self) -> None:
        """End it without a report, if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


class _Measured:
    """What a run costs: cores of the server and of the generator, from here to :meth:`cpu`."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self._before = self._now()

    def cpu(self) -> Figures:
        server, generator, wall = (now - before for now, before in zip(self._now(), self._before, strict=True))
        return {"server_cores": round(server / wall, 2), "generator_cores": round(generator / wall, 2)}

    def _now(self) -> tuple[float, float, float]:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)  # Of those that have ended: the servers have not.
        return self._server.cpu_seconds(), children.ru_utime + children.ru_stime, os.times().elapsed


def middle(runs: Sequence[Mapping[str, Any]]) -> Figures:
    """Return the medians of several runs, and the failures of all."""
    failed: dict[str, int] = {}
    for run in runs:
        for status, count in run["failed"].items():
            failed[status] = failed.get(status, 0) + count
    names = [name for name in runs[0] if name != "failed"]
    figures: Figures = {name: round(statistics.median(run[name] for run in runs), 3) for name in names}
    rates = [run["requests_per_second"] for run in runs]
    return {**figures, "slowest_run": min(rates), "fastest_run": max(rates), "failed": failed}


def _required(program: str) -> str:
    path = find(program)
    if path is None:
        raise SystemExit(f"{program} is not there: {INSTALL[program]}")
    return path


def _run(command: Sequence[str], seconds: float) -> str:
    ended = subprocess.run(
        command, capture_output=True, text=True, timeout=seconds + _LONGEST_EXTRA_SECONDS, check=False
    )
    if ended.returncode:
        raise SystemExit(f"{' '.join(command)}: {ended.stdout}{ended.stderr}")
    return ended.stdout
