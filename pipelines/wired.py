"""The steps of a pipeline that are wired already, and which of their outputs is the nearest to the next step."""

from __future__ import annotations

from penstock.pipelines.graph import Step, Wire


class Wired:
    """The steps that are wired already, with what a wiring asks of them, so that each answer costs little.

    A pipeline of hundreds of steps asks for every input of every step.
    """

    def __init__(self) -> None:
        self.steps: dict[str, Step] = {}
        self.open = False
        """Whether the outputs of one of them are not known."""
        self._outputs: dict[str, list[Wire]] = {}
        self._numbers: dict[str, int] = {}
        self._ancestors: dict[str, int] = {}
        self._awaited: set[str] = set()

    def add(self, step: Step) -> None:
        """Add a step with its wires."""
        self.steps[step.name] = step
        self.open |= step.type.open
        for key, port in step.outputs.items():
            self._outputs.setdefault(port.type, []).append(Wire(step.name, key))
        self._numbers[step.name] = len(self._numbers)
        if step.name in self._awaited:  # By an earlier step, which has one more ancestor now.
            self._ancestors.clear()
        self._awaited |= step.upstream - self.steps.keys()

    def outputs(self, type_name: str) -> list[Wire]:
        """Return the outputs of a type, in the order of the steps."""
        return list(self._outputs.get(type_name, ()))

    def nearest(self, candidates: list[Wire]) -> Wire | None:
        """Return the one candidate that all others flow into: their steps are ancestors of its step."""
        if not candidates:
            return None
        found = candidates[0]
        for other in candidates[1:]:
            found = other if self._flows(found, other) else found
        return found if all(other == found or self._flows(other, found) for other in candidates) else None

    def _flows(self, wire: Wire, into: Wire) -> bool:
        return bool(self._ancestors_of(into.step) >> self._numbers[wire.step] & 1)

    def _ancestors_of(self, name: str) -> int:
        """Return the step's ancestors, one bit each; a step that waits for itself, in a circle, is one of its own."""
        if name in self._ancestors:
            return self._ancestors[name]
        pending, seen = [name], 0
        while pending:
            for above in self.steps[pending.pop()].upstream & self.steps.keys():
                bit = 1 << self._numbers[above]
                if not seen & bit:
                    known = self._ancestors.get(above)
                    seen |= bit | (known or 0)
                    pending += [above] if known is None else []
        self._ancestors[name] = seen
        return seen
