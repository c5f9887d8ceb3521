"""A tabular pipeline, and the project that ``penstock init`` makes."""

from __future__ import annotations

import subprocess
import sys

from tests.e2e.conftest import penstock, run, states


def test_wine_is_transformed_sliced_and_pushed(tmp_path):
    from examples.wine.data import main

    assert main([str(tmp_path / "data")]) == 0
    settings = {"root": tmp_path / "root", "steps.examples.with.input_base": tmp_path / "data"}
    report = run("configs/wine.yaml", *[t for key, value in settings.items() for t in ("--set", f"{key}={value}")])
    assert set(states(report).values()) == {"ran"}
    (evaluation,) = report["summary"]["evaluations"]
    assert {"overall", "color_band=deep", "color_band=medium", "color_band=pale"} == set(evaluation["metrics"])
    assert report["summary"]["pushes"][0]["version"] == "1"


def test_a_new_project_runs_as_it_stands(tmp_path):
    assert penstock("init", "flowers", cwd=tmp_path).returncode == 0
    report = run("flowers/pipeline.yaml", cwd=tmp_path)
    assert report["summary"]["pushes"][0]["path"] == str(tmp_path / "flowers/runs/flowers/serving/flowers/1")
    assert states(report)["pusher"] == "ran"
    command = [sys.executable, "-m", "pytest", "-q", str(tmp_path / "flowers")]
    tests = subprocess.run(command, cwd=tmp_path / "flowers", capture_output=True, text=True, check=False)
    assert "1 passed" in tests.stdout, tests.stdout + tests.stderr
