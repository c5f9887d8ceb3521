"""Workers in other processes, as on Dataflow: nothing that they need may be in the memory of the process that asks."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.ml.inference.base import RunInference
from apache_beam.options.pipeline_options import PipelineOptions

from penstock.components.batch_inference.beam.model_handler import SavedModelHandler
from penstock.components.batch_inference.config import BatchInferenceConfig
from penstock.components.batch_inference.infer import infer
from penstock.components.batch_inference.request import InferenceRequest, PinnedModel
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.e2e
_WORKER = f"{shlex.quote(sys.executable)} -m apache_beam.runners.worker.sdk_worker_main"
_RUNNERS: Mapping[str, list[str]] = {
    "multi_processing": ["--runner=FnApiRunner", "--direct_running_mode=multi_processing", "--direct_num_workers=2"],
    # Beam's own portable job service, and a worker that it starts.
    "portable": [
        "--runner=PortableRunner",
        "--job_endpoint=embed",
        "--environment_type=beam:env:harness_subprocess_python:v1",
        f"--environment_config={_WORKER}",
    ],
}


@pytest.fixture(params=_RUNNERS.values(), ids=list(_RUNNERS))
def options(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> PipelineOptions:
    if shlex.quote(sys.executable) != sys.executable and "--direct_running_mode=multi_processing" in request.param:
        pytest.skip("Beam cannot start this Python: it does not quote its path")
    # Workers import this code, not an installed one.
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    return PipelineOptions(request.param)


def test_files_are_scored_in_another_process(scaler: PinnedModel, tmp_path: Path, options: PipelineOptions):
    for file in range(3):
        rows = [{"x": [file, row]} for row in range(5)] + [{"x": [-1, 0]}]
        (tmp_path / f"{file}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    config = BatchInferenceConfig.model_validate({"output": {"outputs": ["sum"]}, "max_error_rate": 1})
    request = InferenceRequest(config, (f"{tmp_path}/*.jsonl",), tmp_path / "out", scaler)
    result = infer(request, lambda: beam.Pipeline(options=options))
    assert (result.rows, result.results, result.errors) == (18, 15, 3)
    found = [json.loads(line) for name in result.files for line in (tmp_path / "out" / name).read_text().splitlines()]
    assert found == [{"key": f"{file}.jsonl:{row}", "sum": 2.0 * (file + row)} for file in range(3) for row in range(5)]


def test_elements_are_scored_in_another_process(scaler: PinnedModel, tmp_path: Path, options: PipelineOptions):
    with beam.Pipeline(options=options) as pipeline:
        _ = (
            pipeline
            | beam.Create([{"x": [number, 1]} for number in range(4)])
            | RunInference(SavedModelHandler(scaler.path))
            | beam.Map(_keep, str(tmp_path))
        )
    kept = [json.loads(path.read_text()) for path in tmp_path.glob("*.json")]
    assert sorted(each["sum"] for each in kept) == [2, 4, 6, 8]
    assert os.getpid() not in {each["process"] for each in kept}


def _keep(result: Any, folder: str) -> None:
    # The module of the test is none that a worker can import; what it needs, it imports itself.
    import json
    import os
    from pathlib import Path

    total = float(result.inference["sum"])
    Path(folder, f"{total}.json").write_text(json.dumps({"sum": total, "process": os.getpid()}))
