from __future__ import annotations

import pytest


@pytest.fixture
def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nobody ask for credentials, or open a connection of Google's clients."""

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("credentials were asked for")

    monkeypatch.setattr("google.auth.default", refuse)
    monkeypatch.setattr("apache_beam.internal.gcp.auth.get_service_credentials", refuse)
