"""A model that looks like a SavedModel; no TensorFlow is needed to push one."""

from pathlib import Path

import pytest

FILES = {
    "saved_model.pb": b"graph",
    "fingerprint.pb": b"",
    "variables/variables.index": b"index",
    "variables/variables.data-00000-of-00001": bytes(range(256)) * 20000,
    "assets/vocabulary": b"blue\nred\n",
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "Format-Serving"
    for name, content in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / "serving" / "digits"
