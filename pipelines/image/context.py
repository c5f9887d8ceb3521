"""Which of a project's files get into its image."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from penstock.errors import ConfigError
from penstock.pipelines.image.dockerfile import project_ignore
from penstock.pipelines.static_import import module_file


def is_copied(file: str, ignore: str) -> bool:
    """Whether ``docker build`` sees a file.

    Args:
        file: Its path in the context.
        ignore: The ignore file's text.
    """
    from docker.utils.build import PatternMatcher

    lines = [line for line in ignore.splitlines() if line and not line.startswith("#")]
    return not PatternMatcher(lines).matches(file)


def require_modules(project: Path, functions: Iterable[str]) -> None:
    """Check that the user's modules get into the image.

    Args:
        project: The project's folder, absolute.
        functions: Import paths of what the steps call.

    Raises:
        ConfigError: One lies in a folder that is left out, or outside the project and every package of the image.
    """
    ignore = project_ignore()
    for function in functions:
        file = module_file(function.rpartition(".")[0], project)
        if file is None or not file.is_relative_to(project):
            continue
        relative = file.relative_to(project).as_posix()
        if not is_copied(relative, ignore):
            raise ConfigError(
                "a module that the pipeline calls does not get into the image",
                where=relative,
                received=function,
                expected="a module outside hidden folders, data, runs, build, dist and whatever a secret may lie in",
                hint="move it, and name it there in the config",
            )
