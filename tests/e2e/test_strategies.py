"""Each overlay in configs/ trains the digits under its strategy, and what was trained serves."""

from __future__ import annotations

import pytest

from penstock.metadata import Store
from tests.e2e.conftest import run

OVERLAYS = {
    "mirrored": ("mirrored", 2, 1),
    "central-storage": ("central_storage", 2, 1),
    "multi-worker": ("multi_worker_mirrored", 2, 2),
    "parameter-server": ("parameter_server", 1, 2),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    from examples.digits.data import main

    folder = tmp_path_factory.mktemp("digits")
    assert main([str(folder / "data")]) == 0
    return folder


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_trains_blesses_and_serves(overlay, data):
    # One pipeline in one root for all: what lies before the Trainer runs once.
    settings = {"pipeline": "digits", "root": data / "root", "steps.examples.with.input_base": data / "data"}
    options = [text for key, value in settings.items() for text in ("--set", f"{key}={value}")]
    report = run(f"configs/digits-{overlay}.yaml", *options)
    (evaluation,) = report["summary"]["evaluations"]
    assert evaluation["blessed"] is True
    assert evaluation["metrics"]["overall"]["sparse_categorical_accuracy"] >= 0.93
    rows = report["summary"]["samples"]["rows"]
    assert sum(row["predicted"] == row["label"] for row in rows) >= 4

    (model,) = Store(data / "root/metadata.sqlite", "digits").outputs(report["run"], "trainer")["model"]
    facts = model.properties
    assert (facts["strategy"], facts["replicas"], facts["workers"]) == OVERLAYS[overlay]
    assert facts["global_batch_size"] == 64
    assert not (data / "root/trainer/.checkpoints").exists()
    for log in (data / "root/logs" / report["run"]).glob("trainer-*.log"):
        assert "RefCount" not in log.read_text()
