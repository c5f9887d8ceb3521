"""The checks of the machine, each with its remedy."""

import sys
from importlib import metadata

import pytest

from penstock.pipelines.doctor import checks
from penstock.pipelines.doctor.checks import read_lock


def only(check):
    (finding,) = list(check())
    return finding


def fake_versions(monkeypatch, **versions):
    real = metadata.version

    def version(name):
        if name in versions and versions[name] is None:
            raise metadata.PackageNotFoundError(name)
        return versions.get(name) or real(name)

    monkeypatch.setattr("importlib.metadata.version", version)


def test_every_finding_that_is_not_ok_has_a_remedy():
    findings = checks.examine()
    assert {finding.level for finding in findings} <= {"ok", "warning", "error"}
    assert all(finding.remedy for finding in findings if finding.level == "error")


def test_lock_lines():
    lock = read_lock("# header\nabsl-py==1.4.0\n    # via tfx\ntfx[kfp]==1.21.0\nPy_YAML==6.0 ; python_version\n")
    assert lock == {"absl-py": "1.4.0", "tfx": "1.21.0", "py-yaml": "6.0"}


def test_this_environment_matches_the_lock():
    finding = only(checks.versions_match_the_lock)
    assert finding.level == "ok", finding.message


def test_what_comes_first_on_the_path_counts(monkeypatch, tmp_path):
    """As where setuptools has put its own copies of packages at the path's end."""
    copy = tmp_path / "packaging-0.1.dist-info"
    copy.mkdir()
    (copy / "METADATA").write_text("Metadata-Version: 2.1\nName: packaging\nVersion: 0.1\n")
    monkeypatch.setattr("sys.path", [*sys.path, str(tmp_path)])
    finding = only(checks.versions_match_the_lock)
    assert finding.level == "ok", finding.message


def test_other_versions_are_named(monkeypatch, tmp_path):
    lock = tmp_path / "lock.txt"
    lock.write_text("pytest==0.0.1\nno-such-package==1.0\n")
    monkeypatch.setattr(checks, "_LOCK", lock)
    missing, other = checks.versions_match_the_lock()
    assert missing.message == "missing: no-such-package"
    assert other.message.startswith("other versions: pytest ")
    assert "(lock: 0.0.1)" in other.message


def test_setuptools_without_pkg_resources(monkeypatch):
    fake_versions(monkeypatch, setuptools="82.0.1")
    finding = only(checks.setuptools_has_pkg_resources)
    assert (finding.level, finding.message) == ("error", "setuptools 82.0.1 has no pkg_resources")
    assert "pip install 'setuptools<81'" in str(finding.remedy)


def test_missing_tensorboard_and_kfp(monkeypatch):
    fake_versions(monkeypatch, tensorboard=None, kfp=None)
    findings = {finding.check: finding for finding in checks.optional_packages()}
    assert findings["tensorboard"].message == "not installed"
    assert "TensorFlow 2.21 no longer installs it" in str(findings["tensorboard"].remedy)
    assert findings["kfp"].level == "warning"


@pytest.mark.parametrize("value", ["1", "True"])
def test_the_keras_2_switch(monkeypatch, value):
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", value)
    finding = only(checks.keras_switch)
    assert (finding.level, finding.remedy) == ("error", "unset TF_USE_LEGACY_KERAS")


def test_a_c_library_older_than_what_was_measured(monkeypatch):
    monkeypatch.setattr("platform.libc_ver", lambda: ("glibc", "2.31"))
    assert only(checks.glibc).level == "warning"
    monkeypatch.setattr("platform.libc_ver", lambda: ("", ""))
    assert only(checks.glibc).level == "error"


def test_another_python(monkeypatch):
    monkeypatch.setattr("sys.version_info", (3, 13, 0))
    assert only(checks.interpreter).remedy == "make the virtual environment with CPython 3.11"


def test_little_space(monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 2**30}))
    assert only(checks.disk).message == "1.0 GB free here"
    assert only(checks.disk).level == "warning"


def test_no_java(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    found = only(checks.java)
    assert (found.level, found.message) == (
        "warning",
        "there is no Java, and the job server of Flink and Spark is a Java program: no java on PATH",
    )
    assert str(found.remedy).startswith("only for Beam on Flink or Spark: install a JRE 11 or 17")
