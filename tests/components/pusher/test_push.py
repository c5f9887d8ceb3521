from pathlib import Path

import pytest

from penstock.components.pusher.manifest import verify
from penstock.components.pusher.push import PushRequest, PushResult, push
from penstock.errors import ArtifactError


@pytest.mark.parametrize(
    ("model_blessed", "infra_blessed", "reason"),
    [
        (None, None, "no blessing asked for, published as version 1"),
        (True, None, "blessed by the Evaluator, published as version 1"),
        (None, True, "blessed by the InfraValidator, published as version 1"),
        (True, True, "blessed by the Evaluator and the InfraValidator, published as version 1"),
    ],
)
def test_a_push_says_on_whose_word(
    *, model: Path, base: Path, model_blessed: bool | None, infra_blessed: bool | None, reason: str
):
    result = push(PushRequest(model, base, model_blessed=model_blessed, infra_blessed=infra_blessed))
    assert (result.pushed, result.reason) == (True, reason)
    assert (result.version, result.path) == (1, str(base / "1"))
    assert result.digest is not None
    assert len(result.digest) == 64
    verify(base / "1")


@pytest.mark.parametrize(
    ("model_blessed", "infra_blessed", "reason"),
    [
        (False, None, "not blessed by the Evaluator"),
        (False, True, "not blessed by the Evaluator"),
        (True, False, "not blessed by the InfraValidator"),
    ],
)
def test_what_is_not_blessed_is_not_pushed(
    *, model: Path, base: Path, model_blessed: bool | None, infra_blessed: bool | None, reason: str
):
    result = push(PushRequest(model, base, model_blessed=model_blessed, infra_blessed=infra_blessed))
    assert result == PushResult(pushed=False, reason=reason)
    assert not base.exists()


@pytest.mark.parametrize(
    ("model_blessed", "received"),
    [
        (False, "not blessed by the Evaluator"),
        (None, "no Evaluator and no InfraValidator judged the model"),
    ],
)
def test_a_required_blessing_that_is_missing_is_an_error(
    *, model: Path, base: Path, model_blessed: bool | None, received: str
):
    with pytest.raises(ArtifactError) as caught:
        push(PushRequest(model, base, model_blessed=model_blessed, require_blessing=True))
    assert str(caught.value) == (
        "the model may not be pushed\n"
        f"  received: {received}\n"
        "  expected: a blessed model, because `require_blessing` is true\n"
        "  next: look at the Evaluator's metrics and thresholds, or set `require_blessing: false`"
    )
    assert not base.exists()


def test_a_required_blessing_that_is_there_pushes(model: Path, base: Path):
    assert push(PushRequest(model, base, model_blessed=True, require_blessing=True)).pushed
