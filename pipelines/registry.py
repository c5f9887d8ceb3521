"""Component names → descriptions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from penstock.closest import did_you_mean
from penstock.errors import ConfigError
from penstock.pipelines.catalog import ComponentType, load_components
from penstock.pipelines.resolver import RESOLVER
from penstock.pipelines.static_import import locate

Describe = Callable[[str], ComponentType]


def built_in() -> dict[str, ComponentType]:
    """Return the built-in components by the name that a config uses."""
    return {**load_components(), RESOLVER.name: RESOLVER}


def short_names() -> list[str]:
    """Return the names that need no import path."""
    return sorted(name for name in built_in() if "." not in name)


class Registry:
    """Finds the description of a step's component.

    Args:
        project: The folder that user modules are relative to.
        describe: Imports and describes a component that is not built in. Without it (``penstock validate``) such a
            component is only looked up in its source, and its ports and parameters stay open.
    """

    def __init__(self, project: Path, describe: Describe | None = None) -> None:
        self._project = project
        self._describe = describe
        self._known = built_in()
        self._known |= {entry.import_path: entry for entry in self._known.values()}

    def find(self, name: str) -> ComponentType:
        """Return the description of component ``name``.

        Raises:
            ConfigError: No such built-in name, or the import path leads to no component.
        """
        stock = name.replace("tfx.v1.components.", "tfx.components.")
        if stock in self._known:
            return self._known[stock]
        if "." not in name:
            raise ConfigError(
                f"unknown component '{name}'",
                expected=f"one of {', '.join(short_names())}, or the import path of a component",
                hint=did_you_mean(name, short_names()),
            )
        located = locate(name, self._project)
        if located.kind in ("function", "value"):
            raise ConfigError(
                f"'{name}' is not a component",
                received=f"a {located.kind}" + (" without @component" if located.kind == "function" else ""),
                expected="a TFX component class, or a function decorated with @component",
            )
        if self._describe is None:
            return ComponentType(name=name, import_path=name, open=True)
        return self._describe(name)
