"""An object store in a folder: flat keys, no folders, no rename. What a key holds is one file."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


class Bucket:
    """Objects by key, as KFP's launcher copies them (its ``UploadBlob`` and ``DownloadBlob``).

    Args:
        folder: Where they are kept; a key's hash is the file's name, so no path of a pipeline leads there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._keys: set[str] = set()
        folder.mkdir(parents=True, exist_ok=True)

    def names(self, prefix: str = "") -> list[str]:
        return sorted(key for key in self._keys if key.startswith(prefix))

    def read(self, key: str) -> bytes:
        return self._file(key).read_bytes()

    def write(self, key: str, content: bytes) -> None:
        self._file(key).write_bytes(content)
        self._keys.add(key)

    def upload(self, local: Path, key: str) -> None:
        """Copy a file or all files below a folder; empty folders leave nothing behind."""
        files = [local] if local.is_file() else sorted(path for path in local.rglob("*") if path.is_file())
        for file in files:
            below = "" if file == local else f"/{file.relative_to(local).as_posix()}"
            self.write(key + below, file.read_bytes())

    def download(self, local: Path, key: str) -> None:
        """Copy every object at or below a key. A zero-byte marker becomes a file (kubeflow/pipelines#13476)."""
        for found in self.names(key):
            if found == key or found.startswith(f"{key}/"):
                place = Path(os.path.normpath(local / os.path.relpath(found, key)))
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(self.read(found))

    def _file(self, key: str) -> Path:
        return self._folder / hashlib.sha256(key.encode()).hexdigest()
