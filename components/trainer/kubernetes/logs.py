"""Pods' logs, followed as they are written: into this step's log, and what is for the terminal to the terminal."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from penstock.components.trainer.cluster.reporting import Kind, Report
from penstock.components.trainer.cluster.topology import Task
from penstock.components.trainer.kubernetes.connection import Connection
from penstock.components.trainer.kubernetes.manifest import CONTAINER
from penstock.components.trainer.kubernetes.pod import MARK

_READ_SECONDS = 60.0
"""After so long without a line the log is asked for anew: a connection may have died without a word."""
_RETRY_SECONDS = 1.0
_KEPT = 5
_LONGEST_SHOWN = 200
_OVERLAP_SECONDS = 5


class PodLog:
    """One pod's log, followed by a thread until the pod has ended.

    Args:
        connection: The cluster's API.
        task: The task that the pod runs.
        pod: The pod's name.
        report: Told what is for the terminal.
    """

    def __init__(self, connection: Connection, task: Task, pod: str, report: Report) -> None:
        self._connection = connection
        self._task = task
        self._pod = pod
        self._report = report
        self._kept: deque[str] = deque(maxlen=_KEPT)
        self._newest = ""
        self._newest_at = time.monotonic()
        self._again = threading.Event()
        self._over = False
        self._abandoned = False
        self._thread = threading.Thread(target=self._follow, name=f"log of {pod}", daemon=True)
        self._thread.start()

    def last_lines(self) -> list[str]:
        """Return the last lines that are not empty, long ones cut."""
        return [line if len(line) <= _LONGEST_SHOWN else f"{line[:_LONGEST_SHOWN]}…" for line in self._kept]

    def go_on(self) -> None:
        """Ask for the log again if it broke off: the pod is still there."""
        self._again.set()

    def abandon(self) -> None:
        """Ask for the log no more: another pod has the name now, or nobody waits for it."""
        self._abandoned = True
        self._again.set()

    def finish(self, seconds: float) -> None:
        """Wait until all of an ended pod's log is here, ``seconds`` at most, and follow it no further."""
        self._over = True
        self._again.set()
        self._thread.join(seconds)
        self.abandon()

    def _follow(self) -> None:
        while not self._abandoned:
            over = self._over
            complete = self._read_once()
            # What was written before the pod's end is in the log that was opened after it.
            if over and complete:
                return
            if over:
                time.sleep(_RETRY_SECONDS)
            self._again.wait()
            if not self._over:
                self._again.clear()

    def _read_once(self) -> bool:
        """Read until the log ends or the connection breaks; return whether it ended."""
        from kubernetes.client import CoreV1Api
        from kubernetes.client.exceptions import ApiException
        from urllib3.exceptions import HTTPError

        since = {}
        if self._newest:
            since = {"since_seconds": int(time.monotonic() - self._newest_at) + _OVERLAP_SECONDS}
        try:
            stream = CoreV1Api(self._connection.client).read_namespaced_pod_log(
                self._pod,
                self._connection.namespace,
                container=CONTAINER,
                follow=True,
                timestamps=True,
                _preload_content=False,
                _request_timeout=(5.0, _READ_SECONDS),
                **since,
            )
            with stream:
                self._take(stream)
        except ApiException as error:
            return self._refused(error)
        except (HTTPError, OSError):
            return False  # Whether that matters is for the job's state to say; the log is asked for again.
        return True

    def _refused(self, error: Any) -> bool:
        """Return whether there is no more to come: the pod is gone, or its log is not for this step."""
        if error.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            self._report(self._task, "note", f"the cluster does not show its log ({error.status} {error.reason})")
            self.abandon()
            return True
        return bool(error.status == HTTPStatus.NOT_FOUND)

    def _take(self, stream: Any) -> None:
        rest = b""
        for chunk in stream.stream(amt=2**16, decode_content=True):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._line(line.decode(errors="replace"))
        if rest:
            self._line(rest.decode(errors="replace"))

    def _line(self, line: str) -> None:
        stamp, _, text = line.partition(" ")
        moment = _sortable(stamp)
        if moment <= self._newest:
            return  # Read before the connection broke.
        self._newest, self._newest_at = moment, time.monotonic()
        if text.startswith(MARK):
            kind, _, told = text.removeprefix(MARK).partition(" ")
            self._report(self._task, _kind(kind), told)
            return
        if text.strip():
            self._kept.append(text)
        with suppress(ValueError):  # The step has closed its output: it has ended.
            sys.stdout.write(f"{self._task} | {text}\n")


def _kind(word: str) -> Kind:
    return "status" if word == "status" else "note"


def _sortable(stamp: str) -> str:
    """Return an RFC 3339 time so that text order is time order: Kubernetes leaves zeros at the end out."""
    whole, _, fraction = stamp.removesuffix("Z").partition(".")
    return f"{whole}.{fraction:0<9}"
