"""The embedded server, beside the plainest Python one and its limits: ``python -m benchmarks.serving [--rounds N]``.

Load comes from native generators in processes of their own, ghz and wrk, to 127.0.0.1 alone; all in all a few minutes,
each run bounded. Peer: ``grpc.server``, ``tf.make_ndarray``, the signature of ``tf.saved_model.load``,
``tf.make_tensor_proto``. Limits: that signature's call in one process, without a server; and an event loop of Python's
gRPC that answers the same bytes to everybody, without a model. Contenders alternate, in another order each round;
ratios are those of the medians.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.serving_load import INSTALL, Load, find, middle
from benchmarks.serving_models import INPUT, NAME, OUTPUT, SMALL, WIDE, export, rows
from benchmarks.serving_processes import ServerProcess, ours, plain, reply
from benchmarks.serving_swaps import Place, moves, publications, swaps, write_config
from penstock.components.pusher.publish import publish

POLL_SECONDS = 1.0
CLIENTS = (1, 64)
BATCHED_CLIENTS = (1, 8, 64)
REST_CLIENTS = 8
ROWS = (1, 256)
PUBLICATIONS = 10
CALLS = 2000
BATCHING = "max_batch_size { value: 64 } batch_timeout_micros { value: 0 } max_enqueued_batches { value: 1000 }"
DEMANDED = {
    "vs_peer_1_client": 1.5,
    "vs_peer_64_clients": 2.0,
    "p99_ms_at_half_load": 2.0,
    "rest_vs_grpc_256_rows": 0.5,
    "p99_of_swaps_vs_steady": 1.5,
    "rollback_seconds": 5,
    "failed": 0,
}

Figures = dict[str, Any]
Question = Callable[[ServerProcess], Figures]


class Benchmark:
    """All measurements; each section is independent of the others, but for the rate of half the load.

    Args:
        folder: For models, requests and logs.
        rounds: Timed runs of each contender.
        seconds: Length of a run.
        count: Swaps.
    """

    def __init__(self, folder: Path, rounds: int, seconds: float, count: int) -> None:
        self._rounds = rounds
        self._swaps = count
        self._log = folder / "servers.log"
        self._folder = folder
        self._load = Load(folder, ROWS, seconds)
        self._models = (export(folder / "one", SMALL, 1), export(folder / "two", SMALL, 2))
        self._half = 0
        self._load_seconds = 0.0

    def signature_call(self) -> Figures:
        """Time one row in this process: TensorFlow's own call, and ours, both without a server."""
        import tensorflow as tf

        from penstock.serving.models.loader import load_servable

        loaded = tf.saved_model.load(str(self._models[0]))
        signature = loaded.signatures["serving_default"]
        row, tensor = rows(1), tf.constant(rows(1))
        began = time.perf_counter()
        servable = load_servable(NAME, 1, self._models[0])
        self._load_seconds = time.perf_counter() - began
        theirs = _microseconds(lambda: signature(**{INPUT: tensor})[OUTPUT].numpy())  # noqa: PLW0108  The call is to be timed.
        own = _microseconds(lambda: servable.run("serving_default", {INPUT: row}))
        servable.close()
        return {"signature_us": theirs, "ours_us": own, "load_seconds": round(self._load_seconds, 3)}

    def grpc(self) -> Figures:
        """Compare batch 1 over gRPC with the peer and the limit."""
        with ExitStack() as stack:
            servers = {
                "ours": stack.enter_context(ours(self._base("grpc"), self._log)),
                "peer": stack.enter_context(plain(self._models[0], self._log)),
                "limit": stack.enter_context(reply(self._log)),
            }
            figures = {_clients(clients): self._compared(servers, self._over_grpc(clients)) for clients in CLIENTS}
            self._half = figures[_clients(64)]["ours"]["requests_per_second"] // 2
            one = {"ours": servers["ours"]}
            figures["half_load_64_clients"] = self._compared(one, self._over_grpc(64, rate=self._half))
        return figures

    def rest(self) -> Figures:
        """Compare REST with gRPC, in rows a second."""
        with ours(self._base("rest"), self._log) as server:
            return {f"{count}_rows": self._rest_and_grpc(server, count) for count in ROWS}

    def batching(self) -> Figures:
        """Compare requests one by one with requests batched, for a model where that pays and one where it does not."""
        parameters = self._folder / "batching.config"
        parameters.write_text(BATCHING, encoding="utf-8")
        flags = ("--enable_batching=true", f"--batching_parameters_file={parameters}")
        figures: Figures = {}
        for size, units in (("small", SMALL), ("wide", WIDE)):
            base = self._base(f"batching-{size}", export(self._folder / size, units, 3))
            with ours(base, self._log) as off, ours(base, self._log, *flags) as on:
                for clients in BATCHED_CLIENTS:
                    found = self._compared({"off": off, "on": on}, self._over_grpc(clients))
                    found["on_vs_off"] = _ratio(found, "on", "off")
                    figures[f"{size}_{_clients(clients)}"] = found
        return figures

    def changes(self) -> Figures:
        """Measure swaps under half the load, publications, and a promotion and rollback with the real commands."""
        rate = self._half or 1000
        base = self._base("changes")
        with ours(base, self._log) as server:
            self._load.grpc(server, 1)
            place = Place(base, server, self._models)
            swapped = swaps(self._load, place, self._swaps, rate)
            published = publications(place, PUBLICATIONS, POLL_SECONDS, self._load_seconds)
        labelled = self._base("labels", *self._models)
        config = write_config(labelled, 1)
        with ours(config, self._log, "--allow_version_labels_for_unavailable_models=true") as server:
            moved = moves(self._load, server, config, rate)
        return {"swaps": swapped, "publish_to_available": published, "labels": moved}

    def _rest_and_grpc(self, server: ServerProcess, count: int) -> Figures:
        questions = {
            "rest": partial(self._load.rest, server, REST_CLIENTS, rows=count),
            "grpc": partial(self._load.grpc, server, REST_CLIENTS, rows=count),
        }
        figures = self._in_turn(questions)
        for found in figures.values():
            found["rows_per_second"] = round(found["requests_per_second"] * count)
        return {**figures, "rest_vs_grpc": _ratio(figures, "rest", "grpc")}

    def _over_grpc(self, clients: int, rate: int = 0) -> Question:
        return partial(self._load.grpc, clients=clients, rate=rate)

    def _compared(self, servers: Mapping[str, ServerProcess], question: Question) -> Figures:
        return self._in_turn({name: partial(question, server) for name, server in servers.items()})

    def _in_turn(self, questions: Mapping[str, Callable[[], Figures]]) -> Figures:
        """Ask all, in another order each round, and return the medians of each."""
        names = list(questions)
        found: dict[str, list[Figures]] = {name: [] for name in names}
        for number in range(self._rounds):
            first = number % len(names)
            for name in names[first:] + names[:first]:
                found[name].append(questions[name]())
        return {name: middle(runs) for name, runs in found.items()}

    def _base(self, name: str, *models: Path) -> Path:
        """Return a base path in which the models are published as its versions."""
        base = self._folder / name / NAME
        for model in models or self._models[:1]:
            publish(model, base, "next")
        return base


SECTIONS: dict[str, tuple[str, ...]] = {
    "signature_call": (),
    "grpc": ("ghz",),
    "rest": ("ghz", "wrk"),
    "batching": ("ghz",),
    "changes": ("ghz",),
}
"""What is measured, in this order, and the generators that it needs."""


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="timed runs of each contender")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of a run")
    parser.add_argument("--swaps", type=int, default=20, help="versions that replace one another under load")
    parser.add_argument("--only", choices=SECTIONS, nargs="+", default=list(SECTIONS), help="sections to measure")
    arguments = parser.parse_args(argv)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    missing = {program: install for program, install in INSTALL.items() if find(program) is None}
    figures: Figures = {}
    loads = {}
    with tempfile.TemporaryDirectory(prefix="penstock-benchmark-") as name:
        benchmark = Benchmark(Path(name), arguments.rounds, arguments.seconds, arguments.swaps)
        for section, needed in SECTIONS.items():
            if section in arguments.only and not missing.keys() & set(needed):
                loads[section] = round(os.getloadavg()[0], 2)
                figures[section] = getattr(benchmark, section)()
                # What comes later may fail, and what was measured is not to be lost with it.
                print(section, json.dumps(figures[section]), file=sys.stderr, flush=True)
    print(json.dumps({**_setting(arguments, missing, loads), **figures, **_ratios(figures), "demanded": DEMANDED}))
    return 0


def _setting(arguments: argparse.Namespace, missing: dict[str, str], loads: dict[str, float]) -> Figures:
    return {
        "workload": (
            f"64 floats, Dense {SMALL[0]}, softmax of 10 (wide: Dense {WIDE[0]} twice); gRPC by ghz, REST by wrk, a "
            f"connection a client, {arguments.seconds:g} s a run; rest: {REST_CLIENTS} clients; batching: {BATCHING}"
        ),
        "rounds": arguments.rounds,
        "machine": f"{os.cpu_count()} CPUs, {platform.machine()}, Python {platform.python_version()}; the generators "
        "run on the same CPUs",
        "load_before_each_section": loads,
        "missing": missing,
    }


def _ratios(figures: Figures) -> Figures:
    """Return the ratios that are demanded, of what was measured."""
    found: Figures = {}
    if "grpc" in figures:
        grpc = figures["grpc"]
        for clients in CLIENTS:
            compared = grpc[_clients(clients)]
            found[f"vs_peer_{_clients(clients)}"] = _ratio(compared, "ours", "peer")
            found[f"vs_limit_reply_{_clients(clients)}"] = _ratio(compared, "ours", "limit")
        found["p99_ms_at_half_load"] = grpc["half_load_64_clients"]["ours"]["p99_ms"]
        if "signature_call" in figures:
            calls = 1e6 / figures["signature_call"]["signature_us"]
            found["vs_limit_signature_call"] = round(grpc[_clients(64)]["ours"]["requests_per_second"] / calls, 2)
    if "rest" in figures:
        found |= {f"rest_vs_grpc_{count}_rows": figures["rest"][f"{count}_rows"]["rest_vs_grpc"] for count in ROWS}
    if "changes" in figures:
        changes = figures["changes"]
        found["p99_of_swaps_vs_steady"] = changes["swaps"]["p99_vs_steady"]
        found["publish_to_available_vs_limit"] = changes["publish_to_available"]["longest_vs_limit"]
        found["rollback_seconds"] = changes["labels"]["rollback_seconds"]
    found["failed"] = _failures(figures)
    return found


def _failures(figures: Any) -> int:
    """Return how many requests failed in all."""
    if not isinstance(figures, dict):
        return 0
    return sum(sum(value.values()) if name == "failed" else _failures(value) for name, value in figures.items())


def _clients(count: int) -> str:
    return f"{count}_client{'s' if count > 1 else ''}"


def _ratio(figures: Figures, left: str, right: str) -> float:
    return round(float(figures[left]["requests_per_second"] / figures[right]["requests_per_second"]), 2)


def _microseconds(call: Callable[[], object]) -> float:
    """Return the median over five blocks of calls of the time of one, after a block that does not count."""
    blocks = []
    for _ in range(6):
        began = time.perf_counter()
        for _ in range(CALLS):
            call()
        blocks.append((time.perf_counter() - began) / CALLS * 1e6)
    return round(statistics.median(blocks[1:]), 1)


if __name__ == "__main__":
    sys.exit(main())
