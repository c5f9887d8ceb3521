"""Remote scoring against the embedded server: the outputs, the version, and what the server does not have."""

from __future__ import annotations

import json
import pickle
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penstock.components.batch_inference.config import BatchInferenceConfig
from penstock.components.batch_inference.infer import infer_here
from penstock.components.batch_inference.manifest import NAME
from penstock.components.batch_inference.pinned import pin
from penstock.components.batch_inference.request import InferenceRequest
from penstock.components.batch_inference.scoring.remote import RemoteScorer, RemoteSpec
from penstock.components.batch_inference.scoring.score import score_rows
from penstock.components.batch_inference.scoring.scorer import SavedModelSpec
from penstock.errors import ArtifactError, ConfigError, EnvironmentProblem
from penstock.serving.errors import Code, ServingError
from penstock.serving.saved_model import SignatureInfo, TensorInfo
from tests.components.batch_inference.scaler import save_scaler
from tests.components.batch_inference.scoring.conftest import serving

_ROWS = np.array([[1, 2], [3, 4], [5, 6]], np.float32)
_SIGNATURE = SignatureInfo(
    "serving_default",
    (TensorInfo("x", "float32", (None, 2)),),
    (TensorInfo("sum", "float32", (None,)), TensorInfo("y", "float32", (None, 2))),
)


def _sums(scorer: RemoteScorer) -> list[float]:
    try:
        return scorer.score({"x": _ROWS})["sum"].tolist()  # type: ignore[no-any-return]
    finally:
        scorer.close()


def test_the_outputs_are_those_of_the_model_in_process(spec: RemoteSpec, versions: Path):
    here = SavedModelSpec(pin(versions / "2"), "serving_default").open()
    there = spec.pinned().open()
    rows = np.random.default_rng(0).random((1000, 2), np.float32)
    try:
        expected, found = here.score({"x": rows}), there.score({"x": rows})
    finally:
        here.close()
        there.close()
    assert there.signature == here.signature == _SIGNATURE
    assert sorted(found) == sorted(expected) == ["sum", "y"]
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, strict=True)


def test_serialized_examples_are_sent_as_bytes(spec: RemoteSpec):
    import tensorflow as tf

    feature = {"x": tf.train.Feature(float_list=tf.train.FloatList(value=[1, 2]))}
    example = tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()
    scorer = replace(spec, signature="serialized").pinned().open()
    try:
        assert scorer.signature.inputs == (TensorInfo("examples", "string", (None,)),)
        assert scorer.score({"examples": np.array([example] * 2, object)})["sum"].tolist() == [6, 6]
    finally:
        scorer.close()


def test_only_the_outputs_that_are_asked_for_come_back(spec: RemoteSpec):
    scorer = replace(spec, outputs=("sum",)).open()
    try:
        assert scorer.signature.outputs == (TensorInfo("sum", "float32", (None,)),)
        assert list(scorer.score({"x": _ROWS})) == ["sum"]
    finally:
        scorer.close()


def test_a_label_or_the_newest_is_pinned_to_a_version(spec: RemoteSpec):
    assert spec.pinned() == replace(spec, version=2)
    stable = replace(spec, label="stable").pinned()
    assert stable == replace(spec, version=1)
    assert _sums(stable.open()) == [3, 7, 11]
    assert stable.pinned() == stable


def test_a_version_that_comes_meanwhile_is_not_mixed_in(versions: Path, tmp_path: Path):
    base = Path(shutil.copytree(versions, tmp_path / "scaler"))
    with serving(base) as address:
        spec = RemoteSpec(address, "scaler")
        scorer = spec.pinned().open()
        (save_scaler(tmp_path / "new", 3)).rename(base / "3")
        while spec.pinned().version != 3:
            threading.Event().wait(0.01)
        assert _sums(scorer) == [6, 14, 22]


def test_a_version_that_is_gone_ends_the_run(spec: RemoteSpec):
    scorer = replace(spec, version=2).open()
    gone = replace(spec, version=7)
    moved = RemoteScorer(gone, scorer._client, scorer.signature)
    with pytest.raises(EnvironmentProblem) as caught:
        _sums(moved)
    assert str(caught.value) == (
        f"the server at {spec.grpc} no longer answers with version 7 of scaler\n"
        "  received: NOT_FOUND: Servable not found for request: Specific(scaler, 7)\n"
        "  expected: the version that the run began with, until it ends\n"
        "  next: keep that version in service meanwhile, and run it again"
    )


def test_a_bad_row_costs_itself_only(spec: RemoteSpec):
    scorer = spec.open()
    rows = np.concatenate([_ROWS, [[-1, 1]], _ROWS]).astype(np.float32)
    try:
        scored = score_rows(scorer, {"x": rows}, 7)
    finally:
        scorer.close()
    assert scored.good.tolist() == [0, 1, 2, 4, 5, 6]
    assert scored.outputs["sum"].tolist() == [6, 14, 22, 6, 14, 22]
    assert [(number, cause.splitlines()[0][:21]) for number, cause in scored.bad] == [(3, "the model refuses it:")]
    assert "a number is negative" in scored.bad[0][1]


def test_a_run_that_asks_a_server_writes_what_one_in_process_writes(address: str, versions: Path, tmp_path: Path):
    rows = [{"x": [number, 0.1]} for number in range(50)]
    rows[7]["x"] = [-1, 0]
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    served = {"remote": {"grpc": address, "model": "scaler", "label": "stable", "in_flight": 3}}
    results = []
    for mode, model in (("saved_model", pin(versions / "1")), (served, None)):
        config = BatchInferenceConfig.model_validate({"mode": mode, "batch": {"max_rows": 8}, "max_error_rate": 1})
        output = tmp_path / ("remote" if model is None else "here")
        results.append(infer_here(InferenceRequest(config, (f"{tmp_path}/rows.jsonl",), output, model)))
    here, there = (
        [Path(str(result.output / name)).read_bytes() for name in (*result.files, *result.error_files)]
        for result in results
    )
    assert there == here
    assert [(result.rows, result.errors) for result in results] == [(50, 1)] * 2
    manifest = json.loads((tmp_path / "remote" / NAME).read_text())
    assert manifest["model"] == {"grpc": address, "name": "scaler", "version": 1}


def test_a_batch_that_is_too_large_for_the_server_is_halved(spec: RemoteSpec, waits: list[float]):
    rows = np.ones((20_000, 2), np.float32)
    scorer = spec.open()
    try:
        with pytest.raises(ServingError, match="message larger than max") as caught:
            scorer.score({"x": rows})
        scored = score_rows(scorer, {"x": rows}, 20_000)
    finally:
        scorer.close()
    assert caught.value.code == Code.RESOURCE_EXHAUSTED
    assert (len(scored.good), scored.bad, waits) == (20_000, (), [])


@pytest.mark.parametrize(
    ("changes", "wanted", "answer"),
    [
        ({"model": "digits"}, "model 'digits'", "NOT_FOUND: Servable not found for request: Latest(digits)"),
        (
            {"version": 9},
            "version 9 of a model 'scaler'",
            "NOT_FOUND: Servable not found for request: Specific(scaler, 9)",
        ),
        (
            {"label": "canary"},
            "model 'scaler' with the label 'canary'",
            "INVALID_ARGUMENT: Unrecognized servable version label: canary",
        ),
    ],
)
def test_what_the_server_does_not_have_is_said(spec: RemoteSpec, changes: dict[str, Any], wanted: str, answer: str):
    with pytest.raises(ArtifactError) as caught:
        replace(spec, **changes).pinned()
    assert str(caught.value) == (
        f"the server at {spec.grpc} has no {wanted}\n  received: {answer}\n"
        "  next: look at what it serves: penstock models list"
    )


def test_an_unknown_signature_or_output_is_said_before_the_first_row(spec: RemoteSpec):
    with pytest.raises(ConfigError) as caught:
        replace(spec, signature="serialised").pinned()
    assert str(caught.value) == (
        f"scaler at {spec.grpc}: the model has no signature 'serialised'\n  received: serialised\n"
        "  expected: one of serialized, serving_default\n  next: did you mean 'serialized'?"
    )
    with pytest.raises(ConfigError, match="signature 'serving_default' has no output 'yy'"):
        replace(spec, outputs=("yy",)).pinned()


def test_an_address_that_is_none_is_said():
    with pytest.raises(ConfigError, match="'http://localhost:8501' is no gRPC address"):
        RemoteSpec("http://localhost:8501", "m").pinned()


def test_a_spec_travels(spec: RemoteSpec):
    assert pickle.loads(pickle.dumps(spec)) == spec
    assert hash(spec) == hash(replace(spec))
