"""Why a step failed: what is recognised in a log or in the API's words, and what is said otherwise."""

import subprocess
import sys

import pytest

from penstock.pipelines.deploying.failures import LOG_LINES, failure
from penstock.pipelines.deploying.tasks import Progress


def failed(error=None, log=None):
    return failure(Progress("trainer", "failed", error=error, pod="pod"), lambda pod: log)


@pytest.mark.parametrize(
    ("text", "what", "received"),
    [
        (
            "ModuleNotFoundError: No module named 'penstock.pipelines'",
            "the step's image has no Penstock",
            "ModuleNotFoundError: No module named 'penstock.pipelines'",
        ),
        (
            "ModuleNotFoundError: No module named 'first'\nModuleNotFoundError: No module named 'examples.digits'",
            "the step's image has no module examples.digits",
            "ModuleNotFoundError: No module named 'examples.digits'",
        ),
        (
            'exec: "python": executable file not found in $PATH',
            "the step's image has no Python",
            'exec: "python": executable file not found in $PATH',
        ),
        (
            "Error (exit code 64): ImagePullBackOff: Back-off pulling image",
            "the step's image cannot be pulled",
            "ImagePullBackOff: Back-off pulling image",
        ),
        ("OOMKilled (exit code 137)", "the step's container was killed: it used more memory than it was given", None),
    ],
)
@pytest.mark.parametrize("where", ["error", "log"])
def test_what_is_recognised(text, what, received, where):
    error = failed(**{where: text})
    assert (error.where, error.what) == ("trainer", what)
    assert error.received == (received or text)
    assert error.hint


def test_the_end_of_the_log_is_shown():
    error = failed(log="\n".join(f"line {number}" for number in range(100)) + "\n\n")
    assert error.what == "the step failed; the end of its log:"
    assert error.received.split() == [word for n in range(100 - LOG_LINES, 100) for word in ("line", str(n))]


def test_the_apis_words_come_first():
    error = failed(error="exit code 1\nmore", log="ValueError: no rows")
    assert (error.what, error.received) == ("exit code 1", "ValueError: no rows")


def test_the_apis_words_alone():
    assert failed(error="exit code 1").what == "exit code 1"


LIGHT = """
import sys
sys.argv[0] = "penstock"
from penstock.pipelines.cli.app import app
try:
    app()
except SystemExit:
    pass
heavy = {"kfp", "kfp_server_api", "google.auth", "google.protobuf", "google.cloud.aiplatform", "urllib3", "yaml", "tfx"}
print(sorted(heavy & sys.modules.keys()))
"""


@pytest.mark.parametrize("command", [["deploy", "--help"], ["runs", "stop", "--help"]])
def test_help_imports_nothing_heavy(command):
    ended = subprocess.run([sys.executable, "-c", LIGHT, *command], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "[]"
