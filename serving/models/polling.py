"""Looks for versions in the base paths of the models, as TF Serving's file system source does."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable
from pathlib import Path

from penstock.serving.errors import Code, ServingError
from penstock.serving.model_config import ModelEntry, VersionPolicy
from penstock.serving.versions import index, version_number

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_CODES = {
    errno.ENOENT: Code.NOT_FOUND,
    errno.EACCES: Code.PERMISSION_DENIED,
    errno.EPERM: Code.PERMISSION_DENIED,
    errno.ENOTDIR: Code.FAILED_PRECONDITION,
}


def look(entries: Iterable[ModelEntry]) -> dict[str, dict[int, Path]]:
    """Return the versions that are to be served now.

    Args:
        entries: The models.

    Returns:
        Name of the model → version → its folder; a model without versions is there with none.

    Raises:
        ServingError: A base path cannot be read. Nothing is then known about any model.
    """
    return {entry.name: _wanted(entry) for entry in entries}


def _wanted(entry: ModelEntry) -> dict[int, Path]:
    base = _base(entry)
    policy = entry.policy
    if policy.kind == "specific" and all(_exists(base / str(version)) for version in policy.versions):
        # As TF Serving: no listing where the plain names are there, whatever other names parse as these numbers.
        return {version: base / str(version) for version in policy.versions}
    try:
        names = os.listdir(base)  # noqa: PTH208  Only names are needed.
    except OSError as error:
        raise ServingError(_code(error), f"{base}; {_reason(error)}") from error
    return {number: base / name for number, name in _chosen(policy, names).items()}


def _chosen(policy: VersionPolicy, names: Iterable[str]) -> dict[int, str]:
    match policy.kind:
        case "all":
            return _all(names)
        case "latest":
            return dict(sorted(index(names).items(), reverse=True)[: policy.count])
        case "specific":
            return {number: name for number, name in index(names).items() if number in policy.versions}


def _all(names: Iterable[str]) -> dict[int, str]:
    """Of several names for one number the first counts here, because each is offered and later ones come too late."""
    found: dict[int, str] = {}
    for name in sorted(names, key=os.fsencode):
        number = version_number(name)
        if number is not None:
            found.setdefault(number, name)
    return found


def _base(entry: ModelEntry) -> Path:
    scheme = _SCHEME.match(entry.base_path)
    if scheme and scheme[1] != "file":
        raise _no_base(entry, Code.UNIMPLEMENTED, f"File system scheme '{scheme[1]}' not implemented")
    base = Path(entry.base_path.removeprefix("file://"))
    try:
        base.stat()
    except FileNotFoundError as error:
        raise _no_base(entry, Code.NOT_FOUND, f"{base} not found") from error
    except OSError as error:
        raise _no_base(entry, _code(error), f"{base}; {_reason(error)}") from error
    except ValueError as error:  # No file has such a name: there is a NUL in it.
        raise _no_base(entry, Code.INVALID_ARGUMENT, str(error)) from error
    return base


def _exists(path: Path) -> bool:
    """Whether a file is there; one that cannot be looked at is not, and the listing of its folder tells more."""
    try:
        path.stat()
    except OSError:
        return False
    return True


def _no_base(entry: ModelEntry, code: Code, reason: str) -> ServingError:
    return ServingError(
        Code.INVALID_ARGUMENT,
        f"Could not find base path {entry.base_path} for servable {entry.name} with error {code.name}: {reason}",
    )


def _code(error: OSError) -> Code:
    return _CODES.get(error.errno or 0, Code.UNKNOWN)


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
