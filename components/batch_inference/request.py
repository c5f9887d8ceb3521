"""What a batch inference is asked to do, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penstock.components.batch_inference.config import BatchInferenceConfig
from penstock.components.batch_inference.places import Place


@dataclass(frozen=True)
class PinnedModel:
    """The one model that every worker of a run loads, however long it takes and whatever is pushed meanwhile.

    Attributes:
        path: Folder of the SavedModel: a path, or a URL.
        digest: SHA-256 over all its files, in hexadecimal; workers compare.
        name: The model's name, where it has one.
        version: Its version, where it has one.
    """

    path: str
    digest: str
    name: str = ""
    version: int | None = None


@dataclass(frozen=True)
class InferenceRequest:
    """What to score, with which model, and where to.

    Attributes:
        config: The parameters.
        files: Paths and globs of the input files.
        output: Folder of the results; it appears when they are complete.
        model: The model; None where a server is asked.
        work: Folder in which the run keeps what it has finished, on the same file system; None: beside ``output``.
        overwrite: Replace results that are complete.
    """

    config: BatchInferenceConfig
    files: tuple[str, ...]
    output: Place
    model: PinnedModel | None
    work: Place | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class InferenceResult:
    """What came of it.

    Attributes:
        output: The folder of the results.
        rows: Rows read, a count: results plus errors.
        results: Rows with a prediction.
        errors: Rows in the errors files.
        seconds: Wall time of the scoring.
        files: Names of the result files, in order.
        error_files: Names of the errors files, in order.
        model: What tells the model: ``digest`` and ``path``, or ``grpc``; ``name`` and ``version`` where it has them.
        causes: The commonest causes of errors and how many rows each cost, most first.
        reused: Nothing was scored: the results were complete already.
    """

    output: Place
    rows: int
    results: int
    errors: int
    seconds: float
    files: tuple[str, ...]
    error_files: tuple[str, ...]
    model: Mapping[str, Any]
    causes: tuple[tuple[str, int], ...] = ()
    reused: bool = False

    @property
    def model_digest(self) -> str:
        """The model's digest; empty where a server was asked."""
        return str(self.model.get("digest", ""))
