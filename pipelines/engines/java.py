"""Finds a Java that can run Beam's job servers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

from penstock.errors import EnvironmentProblem

OLDEST = 11
"""The first version that Flink and Beam's job servers run on."""

_VERSION = re.compile(r'version "(?:1\.)?(\d+)')
_SECONDS = 30
_INSTALL = "install a JRE 11 or 17 (Debian, Ubuntu: apt-get install openjdk-17-jre-headless), or set JAVA_HOME"


def java_for(options: Mapping[str, Any]) -> str:
    """Return the Java that Beam's options name for a job server, and the machine's where they name none.

    Raises:
        EnvironmentProblem: They name none, and the machine has none that will do.
    """
    named = options.get("job_server_java_launcher")
    return str(named) if named else find_java()


def find_java(environ: Mapping[str, str] | None = None) -> str:
    """Return the path of the ``java`` of ``JAVA_HOME``, or of the one on ``PATH``.

    Raises:
        EnvironmentProblem: There is none, it does not run, or it is too old.
    """
    environ = os.environ if environ is None else environ
    home = environ.get("JAVA_HOME")
    named = os.path.join(home, "bin", "java") if home else "java"  # noqa: PTH118  As Java's own tools look for it.
    java = shutil.which(named, path=environ.get("PATH", ""))
    if java is None:
        raise EnvironmentProblem(
            "there is no Java, and the job server of Flink and Spark is a Java program",
            received=f"JAVA_HOME={home}" if home else "no java on PATH",
            expected=f"Java {OLDEST} or newer",
            hint=_INSTALL,
        )
    version = _version(java)
    if version < OLDEST:
        raise EnvironmentProblem(
            "this Java is too old for the job server of Flink and Spark",
            where=java,
            received=f"Java {version}",
            expected=f"Java {OLDEST} or newer",
            hint=_INSTALL,
        )
    return java


def _version(java: str) -> int:
    """Return the major version.

    Raises:
        EnvironmentProblem: It does not say one.
    """
    try:
        ended = subprocess.run(  # noqa: S603  The user's own Java.
            [java, "-version"], capture_output=True, text=True, check=False, timeout=_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentProblem(f"Java does not run: {error}", where=java, hint=_INSTALL) from error
    told = ended.stderr + ended.stdout
    found = _VERSION.search(told)
    if found is None:
        received = next((line for line in told.splitlines() if line.strip()), f"exit code {ended.returncode}")
        raise EnvironmentProblem("Java does not tell its version", where=java, received=received, hint=_INSTALL)
    return int(found[1])
