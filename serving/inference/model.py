"""What inference needs of a loaded version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from penstock.serving.inference.kinds import Array


class Model(Protocol):
    """A loaded version: a ``Servable``, one that is being timed, or a stand-in of a test."""

    @property
    def name(self) -> str:
        """Name of the model."""

    @property
    def version(self) -> int:
        """Number of the version."""

    @property
    def signatures(self) -> Mapping[str, Any]:
        """Name → ``SignatureDef``."""

    def run(self, signature: str, inputs: Mapping[str, Array], outputs: Sequence[str] = ()) -> dict[str, Array]:
        """Compute the outputs of a signature.

        Raises:
            ServingError: The model cannot answer.
        """
