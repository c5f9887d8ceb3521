"""A tabular pipeline."""

from __future__ import annotations

from tests.e2e.conftest import run, states


def test_wine_is_transformed_sliced_and_pushed(tmp_path):
    from examples.wine.data import main

    assert main([str(tmp_path / "data")]) == 0
    settings = {"root": tmp_path / "root", "steps.examples.with.input_base": tmp_path / "data"}
    report = run("configs/wine.yaml", *[t for key, value in settings.items() for t in ("--set", f"{key}={value}")])
    assert set(states(report).values()) == {"ran"}
    (evaluation,) = report["summary"]["evaluations"]
    assert {"overall", "color_band=deep", "color_band=medium", "color_band=pale"} == set(evaluation["metrics"])
    assert report["summary"]["pushes"][0]["version"] == "1"
