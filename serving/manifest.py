"""The manifest of a published model: the SHA-256 of every file, and one digest over them all."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from penstock.errors import ArtifactError

MANIFEST = "assets.extra/penstock_manifest.json"


@dataclass(frozen=True)
class Manifest:
    """Size and hash of every file of a model.

    Attributes:
        files: Path relative to the model, with slashes → (size in bytes, SHA-256 in hexadecimal). The manifest itself
            is not among them.
    """

    files: dict[str, tuple[int, str]]

    @property
    def digest(self) -> str:
        """SHA-256, in hexadecimal, over the sorted paths, sizes and hashes."""
        return hashlib.sha256(json.dumps(sorted(self.files.items())).encode()).hexdigest()

    def to_bytes(self) -> bytes:
        """Return the manifest as JSON; equal manifests give equal bytes."""
        files = {path: {"bytes": size, "sha256": sha256} for path, (size, sha256) in sorted(self.files.items())}
        return (json.dumps({"digest": self.digest, "files": files}, indent=1) + "\n").encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """Read what :meth:`to_bytes` wrote.

        Raises:
            ValueError: The bytes are not exactly what :meth:`to_bytes` would write, be it by a single one.
        """
        try:
            files = json.loads(data)["files"]
            manifest = cls({path: (entry["bytes"], entry["sha256"]) for path, entry in files.items()})
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("not a manifest") from error
        if manifest.to_bytes() != data:
            raise ValueError("the manifest does not match its own digest")
        return manifest


def walk(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield every entry below ``root``, sorted, as (path relative to it with slashes, path); links are not followed."""
    for folder, subfolders, files in os.walk(root, onerror=_raise):
        subfolders.sort()
        for name in sorted([*subfolders, *files]):
            path = Path(folder, name)
            yield path.relative_to(root).as_posix(), path


def _raise(error: OSError) -> None:
    raise error


def verify(model: Path) -> None:
    """Hash every file of a published model again and compare it with the manifest.

    Args:
        model: Folder of a published version.

    Raises:
        ArtifactError: A file is missing, too many, or changed, or the manifest is missing or damaged.
    """
    manifest = _read(model)
    found = {name: path for name, path in walk(model) if name != MANIFEST and (path.is_symlink() or not path.is_dir())}
    changed = [name for name in manifest.files.keys() & found.keys() if _measure(found[name]) != manifest.files[name]]
    problems = [
        *(f"{name} is missing" for name in sorted(manifest.files.keys() - found.keys())),
        *(f"{name} is not in the manifest" for name in sorted(found.keys() - manifest.files.keys())),
        *(f"{name} has changed" for name in sorted(changed)),
    ]
    if problems:
        raise ArtifactError(
            f"{model} is not what was pushed",
            received="; ".join(problems),
            expected=f"the {len(manifest.files)} files in {MANIFEST}, unchanged",
            hint="push the model again as a new version and remove this one",
        )


def _read(model: Path) -> Manifest:
    path = model / MANIFEST
    try:
        return Manifest.from_bytes(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"{model} has no usable manifest",
            received=f"{path}: {error.strerror if isinstance(error, OSError) else error}",
            expected="a version that the Pusher published, unchanged",
            hint="push the model again as a new version",
        ) from error


def _measure(path: Path) -> tuple[int, str] | None:
    """Return size in bytes and SHA-256; None for what is not a regular file, which no push writes."""
    if path.is_symlink() or not path.is_file():
        return None
    with path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        return stream.tell(), sha256
