from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from penstock.components.trainer.launch import task_environment


@pytest.mark.parametrize(("keras", "switch"), [("keras", "0"), ("tf_keras", "1")])
def test_tasks_are_quiet_and_have_the_keras_asked_for(
    request_for: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, keras: str, switch: str
) -> None:
    # What the runner's own processes inherit.
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "1")
    monkeypatch.setenv("GRPC_VERBOSITY", "ERROR")
    monkeypatch.setenv("SOMETHING", "else")
    made = task_environment(request_for(with_={"keras": keras}))
    assert {
        name: made[name] for name in ("TF_CPP_MIN_LOG_LEVEL", "GRPC_VERBOSITY", "TF_USE_LEGACY_KERAS", "SOMETHING")
    } == {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "GRPC_VERBOSITY": "NONE",
        "TF_USE_LEGACY_KERAS": switch,
        "SOMETHING": "else",
    }


@pytest.mark.parametrize(("given", "made"), [(None, "127.0.0.1"), ("example.org", "example.org,127.0.0.1")])
def test_tasks_reach_each_other_without_a_proxy(
    request_for: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, given: str | None, made: str
) -> None:
    for name in ("no_proxy", "no_grpc_proxy"):
        monkeypatch.setenv(name, given) if given else monkeypatch.delenv(name, raising=False)
    environment = task_environment(request_for())
    assert (environment["no_proxy"], environment["no_grpc_proxy"]) == (made, made)
