"""A lineage as a tree: what made an artifact, upwards, and what used it, downwards."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

from penstock.metadata.lineage import Lineage
from penstock.metadata.named_output import INPUT_BASE
from penstock.metadata.records import Artifact, Execution
from penstock.metadata.vocabulary import END_REASON
from penstock.paths import shown_path

if TYPE_CHECKING:
    from rich.tree import Tree

_ABOVE = "(see above)"
GONE = ", removed by gc"
"""Behind the place of an artifact whose files are no longer there."""
_WIDE = 10_000


def show_tree(found: Lineage, *, up: bool, down: bool) -> None:
    """Print a lineage.

    Args:
        found: The lineage.
        up: Print what made it.
        down: Print what used it.
    """
    from rich.console import Console
    from rich.text import Text
    from rich.tree import Tree

    tree = Tree(Text(_artifact(found.target), style="bold"))
    if up:
        branch = tree.add("made by" if found.up else "made by nothing in the store: data or a model from outside")
        _Up(found).grow(branch, found.target.id)
    if down:
        branch = tree.add("used by" if found.down else "used by nothing so far")
        _Down(found).grow(branch, found.same)
    if down and found.more:
        tree.add(f"and more: the first {len(found.down)} uses are shown")
    # In a pipe no line is wrapped or cut.
    Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False, markup=False).print(tree)


class _Up:
    """Grows a tree from artifacts to their makers; each maker is told once."""

    def __init__(self, found: Lineage) -> None:
        self._found = found
        self._told: set[int] = set()

    def grow(self, tree: Tree, artifact: int) -> None:
        maker = next((one for one in self._found.up if artifact in one.all_outputs()), None)
        if maker is None:
            return
        if maker.id in self._told:
            tree.add(f"{maker.origin.step or maker.component} {_ABOVE}")
            return
        self._told.add(maker.id)
        branch = tree.add(_execution(maker))
        for key, ids in sorted(maker.inputs.items()):
            for one in ids:
                if one in self._found.artifacts:
                    self.grow(branch.add(f"{key}: {_artifact(self._found.artifacts[one])}"), one)


class _Down:
    """Grows a tree from artifacts to their users; each user stands once, below the newest of what it used."""

    def __init__(self, found: Lineage) -> None:
        self._found = found
        known = {*found.same, *(one for user in found.down for one in user.all_outputs())}
        self._below: dict[int, list[Execution]] = {}
        for user in found.down:
            self._below.setdefault(max(known.intersection(user.all_inputs())), []).append(user)

    def grow(self, tree: Tree, artifacts: Iterable[int]) -> None:
        users = {user.id: user for artifact in artifacts for user in self._below.get(artifact, ())}
        for key in sorted(users):
            branch = tree.add(_execution(users[key]))
            for name, ids in sorted(users[key].outputs.items()):
                for one in ids:
                    if one in self._found.artifacts:
                        self.grow(branch.add(f"{name}: {_artifact(self._found.artifacts[one])}"), [one])


def _artifact(artifact: Artifact) -> str:
    facts = artifact.properties
    served = f"{facts['model_name']}/{facts['pushed_version']}, " if "pushed_version" in facts else ""
    if "mode" in facts:
        served = f"{facts['mode']}, "
    place = str(facts.get("pushed_destination", artifact.uri))
    return f"{served}{artifact.type} {artifact.id}  {_place(place)}{GONE if artifact.deleted else ''}"


def _execution(execution: Execution) -> str:
    facts = execution.properties
    if not execution.origin.step and "label" in facts:
        change = f"{facts.get('kind')} {facts['label']}: {facts.get('before', 'new')} → {facts.get('after')}"
        return f"{change}, execution {execution.id}{_ending(execution)}"
    run = f", run {execution.origin.run}" if execution.origin.run else ""
    read = f", from {_place(str(facts[INPUT_BASE]))}" if facts.get(INPUT_BASE) else ""
    return f"{execution.origin.step or execution.component}{run}, execution {execution.id}{read}{_ending(execution)}"


def _place(place: str) -> str:
    return place if "://" in place else shown_path(place)


def _ending(execution: Execution) -> str:
    if execution.state == "COMPLETE":
        return ""
    reason = str(execution.properties.get(END_REASON, "")).partition("\n")[0]
    return f", {execution.state}: {reason}" if reason else f", {execution.state}"
