"""Workers in other processes, as on Dataflow: nothing that they need may be in the memory of the process that asks.

Of files the same is asked in ``test_on_beam.py`` and ``test_stores.py``.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.ml.inference.base import RunInference
from apache_beam.options.pipeline_options import PipelineOptions

from penstock.components.batch_inference.beam.model_handler import SavedModelHandler
from penstock.components.batch_inference.request import PinnedModel
from tests.conftest import REPOSITORY

pytestmark = pytest.mark.e2e
_WORKER = f"{shlex.quote(sys.executable)} -m apache_beam.runners.worker.sdk_worker_main"


@pytest.fixture
def options(monkeypatch: pytest.MonkeyPatch) -> PipelineOptions:
    """Beam's own portable job service, and a worker that it starts."""
    # Workers import this code, not an installed one.
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    return PipelineOptions(
        [
            "--runner=PortableRunner",
            "--job_endpoint=embed",
            "--environment_type=beam:env:harness_subprocess_python:v1",
            f"--environment_config={_WORKER}",
        ]
    )


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
