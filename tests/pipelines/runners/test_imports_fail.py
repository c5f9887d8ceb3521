"""When the packages that every step needs cannot be imported, one message says so."""

import subprocess
import sys

SCRIPT = """
import sys
from pathlib import Path
from penstock.errors import EnvironmentProblem
from penstock.pipelines.runners import workers

workers.PRELOAD = "broken_preload"
if __name__ == "__main__":
    sys.path.insert(0, ".")
    try:
        workers.Workers(Path("."), Path("imports.log")).start(print, log=Path("step.log"))
    except EnvironmentProblem as error:
        print(error)
"""


def test_a_failing_import_is_told_with_its_last_line_and_log(project):
    project.write("broken_preload.py", "raise RuntimeError('libcuda is of another version')\n")
    project.write("script.py", SCRIPT)
    command = [sys.executable, "script.py"]
    ended = subprocess.run(command, cwd=project.folder, capture_output=True, text=True, check=False)
    assert ended.stdout.splitlines() == [
        "TensorFlow and TFX cannot be imported",
        "  received: RuntimeError: libcuda is of another version",
        "  next: see imports.log, and run: penstock doctor",
    ], ended.stderr
