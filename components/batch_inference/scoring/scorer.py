"""What scores a batch of rows: a SavedModel in this process. Loaded once a process, whoever asks."""

from __future__ import annotations

import atexit
import shutil
import tempfile
import threading
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from penstock.closest import did_you_mean
from penstock.components.batch_inference.pinned import fetch, require_same
from penstock.components.batch_inference.places import is_url
from penstock.components.batch_inference.request import PinnedModel
from penstock.errors import ArtifactError, ConfigError
from penstock.serving.errors import ServingError
from penstock.serving.saved_model import SignatureInfo, read_signatures

if TYPE_CHECKING:
    from penstock.components.batch_inference.rows import Array
    from penstock.serving.models.servable import Servable


class Scorer(Protocol):
    """Answers about batches. All of it may be used by many threads at once.

    Attributes:
        signature: What it takes and gives.
        parallelism: How many batches of a file it can usefully answer at once, a count.
    """

    @property
    def signature(self) -> SignatureInfo:
        """What it takes and gives; outputs are those that are asked for."""

    @property
    def parallelism(self) -> int:
        """How many batches of a file it can usefully answer at once, a count."""

    def score(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Answer about a batch.

        Args:
            inputs: An array of the signature's type for each of its inputs, first dimension the batch.

        Returns:
            An array for each output.

        Raises:
            ServingError: The model refuses the batch.
            PenstockError: No batch can be answered.
        """

    def close(self) -> None:
        """Free what it holds."""


class ScorerSpec(Protocol):
    """Says how to make a scorer. Compares by value, and travels between processes."""

    def __hash__(self) -> int: ...

    def open(self) -> Scorer:
        """Return a new scorer.

        Raises:
            PenstockError: It cannot be made.
        """


@dataclass(frozen=True)
class SavedModelSpec:
    """A scorer that holds the model in this process.

    Attributes:
        model: The model.
        signature: The signature's name.
        outputs: The outputs to compute; none means all.
    """

    model: PinnedModel
    signature: str
    outputs: tuple[str, ...] = ()

    def open(self) -> SavedModelScorer:
        """Load the model, as the embedded server does.

        Raises:
            ArtifactError: It cannot be loaded, or is not the pinned one any more.
            ConfigError: It has no such signature or output.
            EnvironmentProblem: The store that it lies in cannot be read.
        """
        if not is_url(self.model.path):
            return self._loaded(Path(self.model.path))
        copy = Path(tempfile.mkdtemp(prefix="penstock-model-"))
        try:
            fetch(self.model.path, copy)
            scorer = self._loaded(copy)
        except BaseException:
            shutil.rmtree(copy)
            raise
        # As long as the model answers: some read files of theirs then.
        weakref.finalize(scorer, shutil.rmtree, copy, ignore_errors=True)
        return scorer

    def _loaded(self, path: Path) -> SavedModelScorer:
        from penstock.serving.models.loader import load_servable

        name = self.model.name or self.model.path.rpartition("/")[2]
        signature = signature_of(path, self.signature, self.outputs)
        try:
            servable = load_servable(name, self.model.version or 0, path, warm_up=False)
        except ServingError as error:
            raise ArtifactError(f"the model cannot be loaded: {error.message}", where=self.model.path) from error
        require_same(self.model, path)
        return SavedModelScorer(servable, signature)


class SavedModelScorer:
    """A loaded SavedModel.

    Args:
        servable: The model, which from now on belongs to the scorer.
        signature: What to ask of it; its outputs are those that are computed.

    Attributes:
        signature: As above.
        parallelism: 1: TensorFlow spreads one large batch over all cores.
    """

    parallelism = 1

    def __init__(self, servable: Servable, signature: SignatureInfo) -> None:
        self.signature = signature
        self._servable = servable
        self._outputs = tuple(output.name for output in signature.outputs)

    def score(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Answer about a batch."""
        return self._servable.run(self.signature.name, inputs, self._outputs)

    def close(self) -> None:
        """Free the model's memory."""
        self._servable.close()


def signature_of(model: Path, name: str, outputs: tuple[str, ...] = (), *, where: str | None = None) -> SignatureInfo:
    """Return a signature of a SavedModel, with those outputs that are asked for, without loading the weights.

    Args:
        model: Folder of the SavedModel.
        name: The signature's name.
        outputs: Names of outputs; none means all.
        where: Where errors say that the model is; None: at its folder.

    Raises:
        ArtifactError: The folder holds no SavedModel.
        ConfigError: It has no such signature or output.
    """
    signatures = {signature.name: signature for signature in read_signatures(model) if signature.inputs}
    return chosen_signature(signatures, name, outputs, where=where or str(model))


def chosen_signature(
    signatures: Mapping[str, SignatureInfo], name: str, outputs: tuple[str, ...], *, where: str
) -> SignatureInfo:
    """Return one of a model's signatures, with those outputs that are asked for.

    Raises:
        ConfigError: There is no such signature or output. Which there are is known before any row is read, so the
            parameter is at fault, and not the model.
    """
    if name not in signatures:
        raise ConfigError(
            f"the model has no signature {name!r}",
            where=where,
            received=name,
            expected=f"one of {', '.join(sorted(signatures))}" if signatures else "a model with signatures",
            hint=did_you_mean(name, signatures),
        )
    return _with_outputs(signatures[name], outputs, where=where)


def _with_outputs(signature: SignatureInfo, outputs: tuple[str, ...], *, where: str) -> SignatureInfo:
    known = {output.name: output for output in signature.outputs}
    for output in outputs:
        if output not in known:
            raise ConfigError(
                f"signature {signature.name!r} has no output {output!r}",
                where=where,
                received=output,
                expected=f"one of {', '.join(known)}",
                hint=did_you_mean(output, known),
            )
    chosen = tuple(known[output] for output in outputs) or signature.outputs
    return SignatureInfo(signature.name, signature.inputs, chosen)


_KEPT = 2
"""Scorers that a process keeps, a count: a stream goes from one version of a model to the next."""
_scorers: dict[ScorerSpec, Scorer] = {}
_opening = threading.Lock()


def shared(spec: ScorerSpec) -> Scorer:
    """Return this process's scorer of a spec; it is made at the first call, and kept until two others were asked for.

    Raises:
        PenstockError: It cannot be made; the next call tries again.
    """
    with _opening:
        scorer = _scorers.pop(spec, None) or spec.open()
        if not _scorers:
            # Python takes TensorFlow apart when it ends, and a session that is freed after that complains.
            atexit.unregister(_close_all)
            atexit.register(_close_all)
        _scorers[spec] = scorer
        # One that is still at work goes when its last user does: nobody closes it.
        for old in list(_scorers)[:-_KEPT]:
            del _scorers[old]
        return scorer


def _close_all() -> None:
    for scorer in _scorers.values():
        scorer.close()
    _scorers.clear()
