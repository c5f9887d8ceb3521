"""Which Java runs the job server, and what is said where there is none."""

import pytest

from penstock.errors import EnvironmentProblem
from penstock.pipelines.engines.java import find_java


def _java(folder, told, code=0):
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho '{told}' >&2\nexit {code}\n")
    program.chmod(0o755)
    return program


@pytest.mark.parametrize(
    "told", ['openjdk version "17.0.15" 2025-04-15', 'java version "11.0.2"', 'openjdk version "25"']
)
def test_on_the_path_and_by_java_home(tmp_path, told):
    program = _java(tmp_path, told)
    assert find_java({"PATH": str(program.parent)}) == str(program)
    assert find_java({"PATH": "", "JAVA_HOME": str(tmp_path)}) == str(program)


def test_none(tmp_path):
    with pytest.raises(EnvironmentProblem) as raised:
        find_java({"PATH": str(tmp_path)})
    assert str(raised.value) == (
        "there is no Java, and the job server of Flink and Spark is a Java program\n"
        "  received: no java on PATH\n"
        "  expected: Java 11 or newer\n"
        "  next: install a JRE 11 or 17 (Debian, Ubuntu: apt-get install openjdk-17-jre-headless), or set JAVA_HOME"
    )
    with pytest.raises(EnvironmentProblem, match="there is no Java") as raised:
        find_java({"PATH": "", "JAVA_HOME": str(tmp_path / "none")})
    assert raised.value.received == f"JAVA_HOME={tmp_path}/none"


def test_too_old(tmp_path):
    with pytest.raises(EnvironmentProblem, match="this Java is too old") as raised:
        find_java({"PATH": str(_java(tmp_path, 'java version "1.8.0_292"').parent)})
    assert raised.value.received == "Java 8"


def test_not_a_java(tmp_path):
    program = _java(tmp_path, "Error occurred during initialization of VM", 1)
    with pytest.raises(EnvironmentProblem, match="Java does not tell its version") as raised:
        find_java({"PATH": str(program.parent)})
    assert raised.value.received == "Error occurred during initialization of VM"


def test_does_not_run(tmp_path):
    program = _java(tmp_path, "")
    program.write_bytes(b"\x7fELF")
    with pytest.raises(EnvironmentProblem, match="Java does not run: "):
        find_java({"PATH": str(program.parent)})
