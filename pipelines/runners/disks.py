"""Full disks: what they break is reported in many ways, so a run that fails looks at the disks that it writes to."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from penstock.errors import ConfigError, EnvironmentProblem, PenstockError

FULL_BYTES = 1 << 20
"""With less left a disk counts as full: what did not fit may have been larger."""


def with_full_disk(error: PenstockError, places: Mapping[str, Path]) -> PenstockError:
    """Return an error as that of a full disk where there is one, else as it is.

    Args:
        error: What failed.
        places: What is written → its folder; one that is not there yet is left out.
    """
    if isinstance(error, ConfigError):
        return error
    for name, folder in places.items():
        if folder.is_dir() and shutil.disk_usage(folder).free < FULL_BYTES:
            return EnvironmentProblem(
                f"no space is left on the disk of {name}",
                where=str(folder),
                received=f"{error.what}: {error.received}" if error.received else error.what,
                hint="free some space and run again: finished steps are kept",
            )
    return error
