"""The checks of ``penstock doctor``. They read package metadata and the environment; nothing heavy is imported."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from pathlib import Path

from penstock.errors import EnvironmentProblem
from penstock.pipelines.doctor.finding import Finding, Level
from penstock.pipelines.engines.java import find_java

_LOCK = Path(__file__).resolve().parents[2] / "requirements" / "lock.txt"
_FREE_GIGABYTES = 5
_MEASURED_GLIBC = (2, 36)
_REINSTALL = "install the lock again: pip install --no-deps -r requirements/lock.txt"


def interpreter() -> Iterator[Finding]:
    """The stack was measured on CPython 3.11; kfp needs less than 3.12."""
    found = f"{platform.python_implementation()} {platform.python_version()}"
    if sys.version_info[:2] == (3, 11) and platform.python_implementation() == "CPython":
        yield Finding("interpreter", "ok", found)
    else:
        yield Finding("interpreter", "error", found, "make the virtual environment with CPython 3.11")


def virtual_environment() -> Iterator[Finding]:
    """Packages of the system would mix with the lock's."""
    if sys.prefix == sys.base_prefix:
        yield Finding("virtual environment", "warning", "none is active", "run through .venv/bin/penstock")
    else:
        yield Finding("virtual environment", "ok", sys.prefix)


def glibc() -> Iterator[Finding]:
    """ML Metadata's and TFDV's wheels need a C library that is new enough."""
    name, version = platform.libc_ver()
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
    if name != "glibc":
        yield Finding("C library", "error", name or "unknown", "use a glibc system: ML Metadata has no other wheels")
    elif numbers < _MEASURED_GLIBC:
        yield Finding(
            "C library", "warning", f"glibc {version}", "the lock was measured on glibc 2.36 (Debian 12) and newer"
        )
    else:
        yield Finding("C library", "ok", f"glibc {version}")


def versions_match_the_lock() -> Iterator[Finding]:
    """Every package of the lock is installed, in the lock's version."""
    if not _LOCK.is_file():
        remedy = "compare with requirements/lock.txt in the repository of this version"
        yield Finding("lock", "warning", "requirements/lock.txt is not beside this installation", remedy)
        return
    locked = read_lock(_LOCK.read_text(encoding="utf-8"))
    # What comes first on the path is what is imported; setuptools puts copies of its own at the path's end.
    found = reversed(list(metadata.distributions()))
    installed = {_normal(dist.metadata["Name"]): dist.version for dist in found}
    missing = sorted(name for name in locked if name not in installed)
    other = [f"{name} {installed[name]} (lock: {v})" for name, v in locked.items() if installed.get(name, v) != v]
    if missing:
        yield Finding("lock", "error", f"missing: {_shortened(missing)}", _REINSTALL)
    if other:
        yield Finding("lock", "warning", f"other versions: {_shortened(other)}", _REINSTALL)
    if not missing and not other:
        yield Finding("lock", "ok", f"{len(locked)} packages as locked")


def setuptools_has_pkg_resources() -> Iterator[Finding]:
    """tensorflow_hub imports pkg_resources, which setuptools 82 removed."""
    version = _version("setuptools")
    if version is not None and int(version.split(".")[0]) >= 82:
        remedy = "pip install 'setuptools<81': tensorflow_hub imports pkg_resources"
        yield Finding("setuptools", "error", f"setuptools {version} has no pkg_resources", remedy)
    else:
        yield Finding("setuptools", "ok", f"setuptools {version}" if version else "not installed")


def optional_packages() -> Iterator[Finding]:
    """Packages that TFX or TensorFlow no longer bring along."""
    needed = {
        "tensorboard": "the TensorBoard callback raises without it; TensorFlow 2.21 no longer installs it",
        "kfp": "compiling for Kubeflow needs it; it is an extra of TFX: tfx[kfp]",
        "tf-keras": "TFX Transform's serving layer needs it",
    }
    for name, why in needed.items():
        version = _version(name)
        if version is None:
            yield Finding(name, "warning", "not installed", f"{why}. {_REINSTALL}")
        else:
            yield Finding(name, "ok", version)


def keras_switch() -> Iterator[Finding]:
    """``TF_USE_LEGACY_KERAS`` turns tf.keras into Keras 2 for everything in the process."""
    value = os.environ.get("TF_USE_LEGACY_KERAS", "")
    if value.lower() in ("1", "true"):
        yield Finding(
            "Keras", "error", f"TF_USE_LEGACY_KERAS={value} makes tf.keras Keras 2", "unset TF_USE_LEGACY_KERAS"
        )
    else:
        yield Finding("Keras", "ok", f"Keras {_version('keras')}")


def disk() -> Iterator[Finding]:
    """Artifacts and logs go below the project."""
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    level: Level = "ok" if free >= _FREE_GIGABYTES else "warning"
    remedy = None if level == "ok" else "free some space: a run keeps every artifact version"
    yield Finding("disk", level, f"{free:.1f} GB free here", remedy)


def java() -> Iterator[Finding]:
    """Beam on Flink or Spark needs a Java runtime; nothing else does."""
    try:
        yield Finding("Java", "ok", find_java())
    except EnvironmentProblem as problem:
        received = f": {problem.received}" if problem.received else ""
        yield Finding(
            "Java", "warning", f"{problem.what}{received}", f"only for Beam on Flink or Spark: {problem.hint}"
        )


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    interpreter,
    virtual_environment,
    glibc,
    versions_match_the_lock,
    setuptools_has_pkg_resources,
    optional_packages,
    keras_switch,
    disk,
    java,
)


def examine() -> list[Finding]:
    """Run every check."""
    return [finding for check in CHECKS for finding in check()]


def read_lock(text: str) -> Mapping[str, str]:
    """Return package → version of a lock file's ``name==version`` lines."""
    pins = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;]+)", text, flags=re.MULTILINE)
    return {_normal(name): version for name, version in pins}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _shortened(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
