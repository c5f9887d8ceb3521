"""What the image runs: Beam's boot program where a Beam runner starts a worker, else Penstock's command line.

Kubeflow and training jobs name a command of their own, which takes the place of this one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

BOOT = "/opt/apache/beam/boot"
_BOOT_FLAGS = frozenset(
    {
        "artifact_endpoint",
        "control_endpoint",
        "id",
        "logging_endpoint",
        "provision_endpoint",
        "semi_persist_dir",
        "worker_pool",
    }
)


def is_for_beam(arguments: Sequence[str]) -> bool:
    """Whether a Beam runner starts a worker: boot's flags come first, and no command of Penstock begins with one."""
    if not arguments or not arguments[0].startswith("-"):
        return False
    return arguments[0].lstrip("-").partition("=")[0] in _BOOT_FLAGS


def main(arguments: Sequence[str]) -> None:
    """Become the program that the arguments are for."""
    if is_for_beam(arguments):
        os.execv(BOOT, [BOOT, *arguments])  # noqa: S606  Beam's own program, and no shell reads the arguments.
    from penstock.pipelines.cli import main as run

    sys.argv = ["penstock", *arguments]
    run()


if __name__ == "__main__":
    main(sys.argv[1:])
