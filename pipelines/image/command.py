"""The command that builds an image."""

from __future__ import annotations

import re
import shlex

from penstock.errors import ConfigError
from penstock.pipelines.image.stage import Image

PLATFORM = "linux/amd64"
"""What the lock is compiled for."""
_TAG = re.compile(r"[a-z0-9]+([._:/-]+[a-z0-9]+)*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?")


def build_command(image: Image) -> str:
    """Return the command, for a shell."""
    arguments = [
        "docker",
        "build",
        f"--platform={PLATFORM}",
        f"--file={image.dockerfile}",
        f"--tag={image.tag}",
        str(image.context),
    ]
    return shlex.join(arguments)


def checked_tag(tag: str) -> str:
    """Return an image's name.

    Raises:
        ConfigError: Docker would refuse it, or it has no version.
    """
    if not _TAG.fullmatch(tag) or ":" not in tag.rpartition("/")[2]:
        raise ConfigError(
            "this is no name of an image with a version",
            received=tag,
            expected="[REGISTRY/]NAME:VERSION in lower case, such as registry.example.com/team/flowers:1.0",
        )
    return tag
