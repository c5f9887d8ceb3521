"""Stands in for Java and the job server's jar: Beam's own job service, in Python, which runs jobs itself."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]


def write_java(folder: Path) -> Path:
    """Return a program that takes Java's arguments and is this module."""
    program = folder / "java"
    program.write_text(f"#!/bin/sh\nPYTHONPATH='{REPOSITORY}' exec '{sys.executable}' -m {__name__} \"$@\"\n")
    program.chmod(0o755)
    return program


def write_jar(folder: Path) -> Path:
    """Return a file that is a jar, and does nothing."""
    jar = folder / "job-server.jar"
    with zipfile.ZipFile(jar, "w") as archive:
        archive.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\n")
    return jar


def job_servers(folder: Path) -> list[int]:
    """Return the job servers whose log is below a folder."""
    found = []
    for descriptor in Path("/proc").glob("[0-9]*/fd/1"):
        try:
            target = descriptor.readlink()
        except OSError:
            continue  # Gone, or somebody else's.
        if target.name == "job-server.log" and target.is_relative_to(folder):
            found.append(int(descriptor.parts[2]))
    return found


def main() -> None:
    """Serve until SIGTERM."""
    from apache_beam.runners.portability.local_job_service import LocalJobServicer

    parser = argparse.ArgumentParser()
    parser.add_argument("--job-port", type=int, required=True)
    parser.add_argument("--artifacts-dir", required=True)
    parsed, _ = parser.parse_known_args()
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    server = LocalJobServicer(parsed.artifacts_dir)
    server.start_grpc_server(parsed.job_port)
    sys.stdout.write(f"serving on {parsed.job_port}\n")
    sys.stdout.flush()
    ending.wait()
    server.stop()


if __name__ == "__main__":
    main()
