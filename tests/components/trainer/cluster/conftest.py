from __future__ import annotations

from pathlib import Path

import pytest

from tests.components.trainer.cluster.tasks import Tasks


@pytest.fixture
def tasks(tmp_path: Path) -> Tasks:
    return Tasks(tmp_path)
