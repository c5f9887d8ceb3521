"""Run with ``pytest``: the pipeline file is valid, and says what it should."""

import json
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def test_pipeline_is_valid() -> None:
    command = [sys.executable, "-m", "penstock", "validate", str(HERE / "pipeline.yaml"), "--json"]
    answer = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert answer["steps"][-1] == "pusher"
