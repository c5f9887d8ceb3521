"""A sink that keeps what it is told."""

from dataclasses import dataclass, field


@dataclass
class Recorder:
    statuses: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def status(self, text: str) -> None:
        self.statuses.append(text)

    def note(self, text: str) -> None:
        self.notes.append(text)
