"""Why a step failed, as it is kept: one line, bounded, without what comes from the environment."""

from __future__ import annotations

import pytest

from penstock.errors import EnvironmentProblem, PenstockError, UserCodeError
from penstock.pipelines.config import Document, load
from penstock.pipelines.runners.reasons import LIMIT, reason_of

STEPS = """
  fetch: {component: parts.fetch, with: {token: "${env.TOKEN}", url: "https://${env.HOST}/x", key: "${env.KEY:none}"}}
"""
KEY = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEF\n-----END KEY-----"


@pytest.fixture
def document(project) -> Document:
    environ = {"TOKEN": "s3cret token", "HOST": "db.internal", "KEY": KEY, "UNUSED": "nothing"}
    return load(project.pipeline(STEPS), environ=environ).document


def test_it_says_where_and_what(document):
    error = UserCodeError("your code raised ValueError: no such column", where="parts.py:7")
    assert reason_of(error, "fetch", document) == "parts.py:7: your code raised ValueError: no such column"


def test_it_is_kept_with_the_step_so_it_does_not_name_it(document):
    error = PenstockError("split 'eval' is empty", where="fetch")
    assert reason_of(error, "fetch", document) == "split 'eval' is empty"


def test_it_says_what_was_received(document):
    error = EnvironmentProblem("no space is left", where="/runs", received="OSError: short write", hint="free some")
    assert reason_of(error, "fetch", document) == "/runs: no space is left (received OSError: short write)"


def test_it_is_one_line(document):
    assert reason_of(PenstockError("ValueError: a\n  b\tc\n"), "fetch", document) == "ValueError: a b c"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("cannot log in with 's3cret token'", "cannot log in with '(from the environment variable TOKEN)'"),
        ("no answer from https://db.internal/x", "no answer from (from the environment variable HOST)"),
        ("db.internal: unknown", "(from the environment variable HOST): unknown"),
        (f"bad key {KEY}", "bad key (from the environment variable KEY)"),
        # A library that shows one line of it, or shows it escaped.
        ("bad line MIIEvQIBADANBg", "bad line (from the environment variable KEY)"),
        (f"bad key {KEY!r}", "bad key '(from the environment variable KEY)'"),
        ("nothing to hide", "nothing to hide"),
    ],
)
def test_values_of_the_environment_do_not_get_in(document, text, told):
    assert reason_of(PenstockError(text), "fetch", document) == told


def test_a_secret_in_the_place_or_what_was_received_does_not_get_in(document):
    error = PenstockError("refused", where="db.internal", received="s3cret token")
    told = "(from the environment variable HOST): refused (received (from the environment variable TOKEN))"
    assert reason_of(error, "fetch", document) == told


def test_it_is_bounded_and_no_part_of_a_secret_is_left_at_the_end(document):
    told = reason_of(PenstockError("x" * (LIMIT - 6) + "s3cret token" + "y" * 9000), "fetch", document)
    assert len(told) == LIMIT
    assert told == "x" * (LIMIT - 6) + "(from…"
