"""SERVING.md, REST: paths, versions, labels, states, metadata."""

from __future__ import annotations

import json

from penstock.serving.server import Ports
from tests.serving.conformance.rest_vectors import Vector, ask, check, table

_ROWS = '{"instances": [1, 3]}'
_TWO, _THREE, _FOUR = ({"predictions": [offset + 0.5, offset + 1.5]} for offset in (2, 3, 4))


def _malformed(name: str, method: str, path: str) -> Vector:
    return Vector(
        name, path, _ROWS if method == "POST" else "", 400, None, f"Malformed request: {method} {path}", method
    )


def _get(name: str, path: str, *, reply: object = None, status: int = 200, error: str | None = None) -> Vector:
    return Vector(name, path, "", status, reply, error, "GET")


def _state(*versions: int) -> dict[str, object]:
    ok = {"error_code": "OK", "error_message": ""}
    return {"model_version_status": [{"version": str(v), "state": "AVAILABLE", "status": ok} for v in versions]}


_HALF_STATE = """{
 "model_version_status": [
  {
   "version": "1",
   "state": "AVAILABLE",
   "status": {
    "error_code": "OK",
    "error_message": ""
   }
  }
 ]
}
"""
_UNKNOWN_MODEL = "Could not find any versions of model nobody"


@table(
    [
        Vector("newest version", "/v1/models/zoo:predict", _ROWS, reply=_FOUR),
        Vector("version", "/v1/models/zoo/versions/2:predict", _ROWS, reply=_THREE),
        Vector("version with zeros", "/v1/models/zoo/versions/002:predict", _ROWS, reply=_THREE),
        Vector("label stable", "/v1/models/zoo/labels/stable:predict", _ROWS, reply=_THREE),
        Vector("label canary", "/v1/models/zoo/labels/canary:predict", _ROWS, reply=_FOUR),
        Vector("another model", "/v1/models/half:predict", _ROWS, reply=_TWO),
        Vector("case of the path", "/V1/MODELS/zoo/VERSIONS/2:predict", _ROWS, reply=_THREE),
        Vector("case of labels", "/v1/Models/zoo/Labels/stable:predict", _ROWS, reply=_THREE),
        Vector("encoded name", "/v1/models/%7Aoo:predict", _ROWS, reply=_FOUR),
        Vector("encoded label", "/v1/models/zoo/labels/st%61ble:predict", _ROWS, reply=_THREE),
        Vector("unknown model", "/v1/models/nobody:predict", _ROWS, 404,
               error="Servable not found for request: Latest(nobody)"),
        Vector("case of the name", "/v1/models/ZOO:predict", _ROWS, 404,
               error="Servable not found for request: Latest(ZOO)"),
        Vector("encoded unknown name", "/v1/models/a%20b%2Fc:predict", _ROWS, 404,
               error="Servable not found for request: Latest(a b/c)"),
        Vector("unknown version", "/v1/models/zoo/versions/9:predict", _ROWS, 404,
               error="Servable not found for request: Specific(zoo, 9)"),
        Vector("version that is not served", "/v1/models/zoo/versions/1:predict", _ROWS, 404,
               error="Servable not found for request: Specific(zoo, 1)"),
        Vector("unknown model and version", "/v1/models/nobody/versions/1:classify",
               '{"examples": [{"x": 1.0}]}', 404, error="Servable not found for request: Specific(nobody, 1)"),
        Vector("unknown model, regress", "/v1/models/nobody:regress",
               '{"examples": [{"x": 1.0}]}', 404, error="Servable not found for request: Latest(nobody)"),
        Vector("unknown label", "/v1/models/zoo/labels/nope:predict", _ROWS, 400,
               error="Unrecognized servable version label: nope"),
        Vector("case of the label", "/v1/models/zoo/labels/Stable:predict", _ROWS, 400,
               error="Unrecognized servable version label: Stable"),
        Vector("label of a version that is not served", "/v1/models/zoo/labels/gone:predict", _ROWS, 404,
               error="Servable not found for request: Specific(zoo, 1)"),
        Vector("version beyond int64", "/v1/models/zoo/versions/9223372036854775808:predict", _ROWS, 400,
               error="Failed to convert version: 9223372036854775808 to numeric."),
    ]
)  # fmt: skip
def test_who_answers(ports: Ports, vector: Vector) -> None:
    assert ports.rest
    check(ports.rest, vector)


@table(
    [
        _malformed("get foo", "GET", "/v1/foo"),
        _malformed("post foo", "POST", "/v1/foo"),
        _malformed("empty", "GET", "/v1/"),
        _malformed("post models", "POST", "/v1/models"),
        _malformed("slash", "GET", "/v1/models/"),
        _malformed("two names", "GET", "/v1/models/debug/zoo"),
        _malformed("get predict", "GET", "/v1/models/zoo:predict"),
        _malformed("post status", "POST", "/v1/models/zoo"),
        _malformed("post metadata", "POST", "/v1/models/zoo/metadata"),
        _malformed("unknown operation", "POST", "/v1/models/zoo:explain"),
        _malformed("operation in capitals", "POST", "/v1/models/zoo:PREDICT"),
        _malformed("no operation", "POST", "/v1/models/zoo:"),
        _malformed("query", "POST", "/v1/models/zoo:predict?verbose=1"),
        _malformed("version", "POST", "/v1/models/zoo/version/2:predict"),
        _malformed("word as version", "POST", "/v1/models/zoo/versions/stable:predict"),
        _malformed("negative version", "POST", "/v1/models/zoo/versions/-2:predict"),
        _malformed("no version", "POST", "/v1/models/zoo/versions/:predict"),
        _malformed("label", "POST", "/v1/models/zoo/label/stable:predict"),
        _malformed("version and label", "POST", "/v1/models/zoo/versions/2/labels/stable:predict"),
        _malformed("put", "PUT", "/v1/models/zoo:predict"),
        _malformed("delete", "DELETE", "/v1/models/zoo"),
        _malformed("patch", "PATCH", "/v1/models/zoo"),
        _get("no model", "/v1/models", status=400, error="Missing model name in request."),
        _get("no model but a version", "/v1/models/versions/2", status=400, error="Missing model name in request."),
        _get("no api", "/", status=404, error="Not Found: /"),
        _get("other version of the api", "/v2/models/zoo", status=404, error="Not Found: /v2/models/zoo"),
    ]
)
def test_paths_that_mean_nothing(ports: Ports, vector: Vector) -> None:
    assert ports.rest
    check(ports.rest, vector)


@table(
    [
        _get("layout", "/v1/models/half", reply=_HALF_STATE),
        _get("all versions, newest first", "/v1/models/zoo", reply=_state(3, 2)),
        _get("one version", "/v1/models/zoo/versions/2", reply=_state(2)),
        _get("the label is ignored", "/v1/models/zoo/labels/stable", reply=_state(3, 2)),
        _get("even an unknown one", "/v1/models/zoo/labels/nope", reply=_state(3, 2)),
        _get("case", "/V1/models/zoo", reply=_state(3, 2)),
        _get("metadata in capitals is the status", "/v1/models/zoo/METADATA", reply=_state(3, 2)),
        _get("unknown model", "/v1/models/nobody", status=404, error=_UNKNOWN_MODEL),
        _get("unknown version", "/v1/models/zoo/versions/9", status=404,
             error="Could not find version 9 of model zoo"),
        _get("query is part of the name", "/v1/models/nobody?x=1", status=404, error=_UNKNOWN_MODEL + "?x=1"),
        _get("huge version", "/v1/models/zoo/versions/99999999999999999999", status=400,
             error="Failed to convert version: 99999999999999999999 to numeric."),
        _get("metadata of an unknown model", "/v1/models/nobody/metadata", status=404,
             error="Servable not found for request: Latest(nobody)"),
        _get("metadata of an unknown version", "/v1/models/zoo/versions/9/metadata", status=404,
             error="Servable not found for request: Specific(zoo, 9)"),
        _get("metadata of an unknown label", "/v1/models/zoo/labels/nope/metadata", status=400,
             error="Unrecognized servable version label: nope"),
    ]
)  # fmt: skip
def test_states(ports: Ports, vector: Vector) -> None:
    assert ports.rest
    check(ports.rest, vector)


def test_metadata(ports: Ports) -> None:
    assert ports.rest
    for path, version in (("", "3"), ("/versions/2", "2"), ("/labels/stable", "2")):
        reply = ask(ports.rest, "GET", f"/v1/models/zoo{path}/metadata")
        assert (reply.status, reply.headers["content-type"]) == (200, "application/json")
        assert reply.body.startswith(b'{\n"model_spec":{\n "name": "zoo",\n')
        found = json.loads(reply.body)
        assert found["model_spec"] == {"name": "zoo", "signature_name": "", "version": version}
        signature = found["metadata"]["signature_def"]["signature_def"]["matrix"]
        assert signature["method_name"] == "tensorflow/serving/predict"
        assert signature["inputs"]["x"]["dtype"] == "DT_FLOAT"
        assert signature["inputs"]["x"]["tensor_shape"] == {
            "dim": [{"size": "-1", "name": ""}, {"size": "3", "name": ""}],
            "unknown_rank": False,
        }


def test_head_has_a_status_and_no_body(ports: Ports) -> None:
    assert ports.rest
    reply = ask(ports.rest, "HEAD", "/v1/models/zoo")
    assert (reply.status, reply.body) == (400, b"")
