from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.serving.errors import Code, ServingError
from penstock.serving.rest.paths import Target, is_api, parse


@pytest.mark.parametrize(
    ("method", "path", "target"),
    [
        ("POST", "/v1/models/m:predict", Target("m", None, None, "predict")),
        ("POST", "/v1/models/m:classify", Target("m", None, None, "classify")),
        ("POST", "/v1/models/m:regress", Target("m", None, None, "regress")),
        ("POST", "/v1/models/m/versions/7:predict", Target("m", 7, None, "predict")),
        ("POST", "/v1/models/m/versions/007:predict", Target("m", 7, None, "predict")),
        ("POST", "/v1/models/m/labels/stable:predict", Target("m", None, "stable", "predict")),
        ("POST", "/V1/Models/M/Versions/7:predict", Target("M", 7, None, "predict")),
        ("POST", "/v1/MODELS/m/LABELS/Stable:predict", Target("m", None, "Stable", "predict")),
        ("POST", "/v1/models/a%20b%2Fc:predict", Target("a b/c", None, None, "predict")),
        ("POST", "/v1/models/m/labels/%C3%BC:predict", Target("m", None, "ü", "predict")),
        ("POST", "/v1/models/a+b:predict", Target("a+b", None, None, "predict")),
        ("POST", "/v1/models/a%zz:predict", Target("a%zz", None, None, "predict")),
        ("POST", "/v1/models/a%ff:predict", Target("a\ufffd", None, None, "predict")),
        ("GET", "/v1/models/m", Target("m", None, None, "status")),
        ("GET", "/v1/models/m?x=1", Target("m?x=1", None, None, "status")),
        ("GET", "/v1/models/m/versions/7", Target("m", 7, None, "status")),
        ("GET", "/v1/models/m/labels/stable", Target("m", None, "stable", "status")),
        ("GET", "/v1/models/m/metadata", Target("m", None, None, "metadata")),
        ("GET", "/v1/models/m/METADATA", Target("m", None, None, "status")),
        ("GET", "/v1/models/m/versions/7/metadata", Target("m", 7, None, "metadata")),
        ("GET", "/v1/models/m/labels/stable/metadata", Target("m", None, "stable", "metadata")),
        ("GET", f"/v1/models/m/versions/{2**63 - 1}", Target("m", 2**63 - 1, None, "status")),
    ],
)
def test_what_is_asked_for(method: str, path: str, target: Target) -> None:
    assert parse(method, path) == target


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/foo"),
        ("POST", "/v1/foo"),
        ("POST", "/v1/models"),
        ("GET", "/v1/models/"),
        ("GET", "/v1/models/debug/name"),
        ("GET", "/v1/models/m:predict"),
        ("POST", "/v1/models/m"),
        ("POST", "/v1/models/m:guess"),
        ("POST", "/v1/models/m:PREDICT"),
        ("POST", "/v1/models/m:predict?x=1"),
        ("POST", "/v1/models/m:predict/"),
        ("POST", "/v1/models/m/metadata"),
        ("POST", "/v1/models/m/version/5:predict"),
        ("POST", "/v1/models/m/label/stable:predict"),
        ("POST", "/v1/models/m/versions/stable:predict"),
        ("POST", "/v1/models/m/versions/-1:predict"),
        ("POST", "/v1/models/m/versions/٣:predict"),
        ("POST", "/v1/models/m/versions/5/labels/stable:predict"),
        ("PUT", "/v1/models/m:predict"),
        ("DELETE", "/v1/models/m"),
        ("HEAD", "/v1/models/m"),
    ],
)
def test_what_is_malformed(method: str, path: str) -> None:
    with pytest.raises(ServingError) as caught:
        parse(method, path)
    assert caught.value.code == Code.INVALID_ARGUMENT
    assert caught.value.message == f"Malformed request: {method} {path}"


@pytest.mark.parametrize("digits", [str(2**63), str(2**64 - 1), "9" * 5000])
def test_a_version_that_is_too_large(digits: str) -> None:
    with pytest.raises(ServingError) as caught:
        parse("POST", f"/v1/models/m/versions/{digits}:predict")
    assert caught.value.message == f"Failed to convert version: {digits} to numeric."


@pytest.mark.parametrize("path", ["/v1/models", "/v1/models/versions/3"])
def test_no_name(path: str) -> None:
    with pytest.raises(ServingError) as caught:
        parse("GET", path)
    assert caught.value.message == "Missing model name in request."


def test_what_belongs_to_the_api() -> None:
    assert [is_api(path) for path in ("/v1/models", "/V1/x", "/v1/", "/v1", "/", "/v2/models")] == [
        True, True, True, False, False, False,
    ]  # fmt: skip


@given(method=st.sampled_from(["GET", "POST", "PUT"]), rest=st.text(alphabet="mv1/:%?0aversionslabelspredict."))
def test_any_path_is_understood_or_refused(method: str, rest: str) -> None:
    refusal = None
    try:
        target = parse(method, f"/v1/models/{rest}")
    except ServingError as error:
        refusal = error
    else:
        assert target.model
        assert None in (target.version, target.label)
    assert refusal is None or refusal.code == Code.INVALID_ARGUMENT
