"""A reader that loads whatever numeric folder it sees, as TF Serving does, and complains of one that is not whole."""

from __future__ import annotations

from pathlib import Path
from threading import Event, Thread
from typing import Self

from penstock.errors import PenstockError
from penstock.serving.manifest import verify
from penstock.serving.saved_model import load_in_graph
from penstock.serving.versions import versions


class Reader:
    """Looks at a base path over and over, in a thread, until the block ends.

    Attributes:
        loaded: Versions that were loaded, each once.
        looks: How often it looked, a count.
        complaints: What was wrong with a version that was still there afterwards.
    """

    def __init__(self, base: Path) -> None:
        self._base = base
        self._end = Event()
        self._thread = Thread(target=self._read, name="reader")
        self.loaded: set[int] = set()
        self.looks = 0
        self.complaints: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self.look()  # At what the last push left.

    def _read(self) -> None:
        while not self._end.is_set():
            self.look()

    def look(self) -> None:
        """Load every version that has not been loaded yet."""
        self.looks += 1
        for number in set(versions(self._base)) - self.loaded:
            self._load(number)

    def _load(self, number: int) -> None:
        folder = self._base / str(number)
        try:
            verify(folder)
            with load_in_graph(folder) as loaded:
                answer = loaded.call("predict", {"x": [[1.0, 2.0]]})
        except (PenstockError, OSError) as error:
            if folder.exists():  # Otherwise it was removed meanwhile, which is a push's right.
                self.complaints.append(f"{number}: {error}")
            return
        if answer["y"].tolist() != [[2.0, 4.0]]:
            self.complaints.append(f"{number}: wrong answer {answer}")
        self.loaded.add(number)
