"""What the other tests rely on: a command in a fork is what it would be as a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.preloaded import PRELOADED

PROBE = """
import json, os, sys, neighbour
print(json.dumps([sys.argv[1:], os.getcwd(), os.environ.get("COLOR"), __name__, neighbour.SEEN, sys.path[0]]))
print("told", file=sys.stderr)
neighbour.SEEN.append("by the one before")
os.environ["COLOR"] = "blue"
sys.exit(json.loads(sys.argv[1]))
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "probe.py").write_text(PROBE, encoding="utf-8")
    (tmp_path / "neighbour.py").write_text("SEEN = []\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("ending", [None, 0, 3, "a text"])
def test_a_command_is_as_in_a_process_of_its_own(folder, ending):
    arguments, environment = [json.dumps(ending), "it's"], {**os.environ, "COLOR": "red"}
    command = [sys.executable, "-m", "probe", *arguments]
    anew = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert json.loads(anew.stdout)[:4] == [arguments, str(folder), "red", "__main__"]
    for _ in range(2):
        forked = PRELOADED.run("probe", *arguments, cwd=folder, environment=environment)
        assert (forked.returncode, forked.stdout, forked.stderr) == (anew.returncode, anew.stdout, anew.stderr)


def test_what_is_raised_is_told(folder):
    ended = PRELOADED.run("probe", "no JSON", cwd=folder)
    assert ended.returncode == 1
    assert ended.stderr.endswith("JSONDecodeError: Expecting value: line 1 column 1 (char 0)\n")


def test_a_command_that_is_killed_is_not_the_end(folder):
    (folder / "killed.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n", encoding="utf-8")
    assert PRELOADED.run("killed", cwd=folder).returncode == -9
    assert PRELOADED.run("probe", "0", cwd=folder).returncode == 0
