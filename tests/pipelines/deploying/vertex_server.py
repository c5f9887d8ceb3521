"""Vertex AI without a cloud: a gRPC server that keeps the requests it is sent, and says what a test wants."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import grpc
from google.cloud import aiplatform_v1 as api

_SERVICES = {
    "CreatePipelineJob": (api.CreatePipelineJobRequest, api.PipelineJob),
    "GetPipelineJob": (api.GetPipelineJobRequest, api.PipelineJob),
    "ListPipelineJobs": (api.ListPipelineJobsRequest, api.ListPipelineJobsResponse),
    "CancelPipelineJob": (api.CancelPipelineJobRequest, None),
    "CreateSchedule": (api.CreateScheduleRequest, api.Schedule),
    "GetSchedule": (api.GetScheduleRequest, api.Schedule),
    "ListSchedules": (api.ListSchedulesRequest, api.ListSchedulesResponse),
    "PauseSchedule": (api.PauseScheduleRequest, None),
}
_TIME = datetime(2026, 11, 30, 12, tzinfo=UTC)


class VertexServer(grpc.GenericRpcHandler):  # type: ignore[misc]  # grpc has no types.
    """Keeps jobs and schedules.

    Attributes:
        asked: Method and request of each call.
        frames: (state of the run, task name → state, error) that a run says of itself, one a question; the last stays.
        failures: Method → (code, message) that it fails with.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.frames: list[tuple[str, dict[str, str], str]] = [("SUCCEEDED", {}, "")]
        self.failures: dict[str, tuple[Any, str]] = {}
        self.jobs: dict[str, Any] = {}
        self.schedules: dict[str, Any] = {}

    def requests(self, method: str) -> list[Any]:
        """Return the requests of one method."""
        return [request for name, request in self.asked if name == method]

    def service(self, details: Any) -> Any:
        name = details.method.rpartition("/")[2]
        request_type, _ = _SERVICES[name]

        def answer(data: bytes, context: Any) -> bytes:
            request = request_type.deserialize(data)
            self.asked.append((name, request))
            if name in self.failures:
                context.abort(*self.failures[name])
            reply = getattr(self, f"_{name.lower()}")(request)
            return b"" if reply is None else bytes(type(reply).serialize(reply))

        return grpc.unary_unary_rpc_method_handler(answer)

    def _createpipelinejob(self, request: Any) -> Any:
        job = api.PipelineJob.deserialize(api.PipelineJob.serialize(request.pipeline_job))
        job.name = f"{request.parent}/pipelineJobs/{request.pipeline_job_id}"
        job.state, job.create_time = api.PipelineState.PIPELINE_STATE_PENDING, _TIME
        self.jobs[job.name] = job
        return job

    def _getpipelinejob(self, request: Any) -> Any:
        job = self.jobs[request.name]
        state, tasks, error = self.frames[0] if len(self.frames) == 1 else self.frames.pop(0)
        job.state = api.PipelineState[f"PIPELINE_STATE_{state}"]
        job.job_detail = api.PipelineJobDetail(
            task_details=[_task(name, *said.split(": ", 1)) for name, said in tasks.items()]
        )
        job.error.message = error
        return job

    def _listpipelinejobs(self, request: Any) -> Any:
        wanted = request.filter.partition("=")[2].strip('"')
        found = [job for job in self.jobs.values() if not wanted or job.display_name == wanted]
        return api.ListPipelineJobsResponse(pipeline_jobs=found)

    def _cancelpipelinejob(self, request: Any) -> None:
        self.jobs[request.name].state = api.PipelineState.PIPELINE_STATE_CANCELLING

    def _createschedule(self, request: Any) -> Any:
        made = api.Schedule.deserialize(api.Schedule.serialize(request.schedule))
        made.name = f"{request.parent}/schedules/{len(self.schedules) + 1}"
        made.state = api.Schedule.State.ACTIVE
        self.schedules[made.name] = made
        return made

    def _getschedule(self, request: Any) -> Any:
        return self.schedules[request.name]

    def _listschedules(self, request: Any) -> Any:
        return api.ListSchedulesResponse(schedules=list(self.schedules.values()))

    def _pauseschedule(self, request: Any) -> None:
        self.schedules[request.name].state = api.Schedule.State.PAUSED

    @contextmanager
    def running(self) -> Iterator[str]:
        """Serve on a free port of 127.0.0.1; give the address."""
        server = grpc.server(futures.ThreadPoolExecutor(2))
        server.add_generic_rpc_handlers([self])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(None).wait()


def _task(name: str, state: str, error: str = "") -> Any:
    task = api.PipelineTaskDetail(task_name=name, state=api.PipelineTaskDetail.State[state], start_time=_TIME)
    if state in ("SUCCEEDED", "FAILED", "SKIPPED"):
        task.end_time = _TIME.replace(second=9)
    task.error.message = error
    return task
