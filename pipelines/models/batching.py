"""How a server batches the models of a project: TF Serving takes what each brings, or the same for all, never both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from penstock.pipelines.models.find import Model
from penstock.serving.batching_config import BATCHING_FILE, format_batching
from penstock.serving.model_config import GENERATED


@dataclass(frozen=True)
class Batching:
    """How the models are batched.

    Attributes:
        per_model: Whether each model is batched as the ``batching_params.pbtxt`` that it brings says.
        text: The ``batching.config``.
        notes: What somebody who asked for batches would not expect, a sentence each.
    """

    per_model: bool
    text: str
    notes: tuple[str, ...]


def plan_batching(models: Sequence[Model]) -> Batching:
    """Let what the models bring count as soon as one of them brings anything: somebody chose it for that model."""
    own = {model.name for model in models if _brings_parameters(model)}
    others = [model.name for model in models if model.name not in own]
    if own:
        comment = f"{GENERATED} each model's {BATCHING_FILE} counts, and of this file the number of threads."
        notes = tuple(
            f"{name} is not batched: it brings no {BATCHING_FILE}, and others do; push it with `batching`"
            for name in others
        )
    else:
        comment = f"{GENERATED} for every model: none brings a {BATCHING_FILE}."
        notes = tuple(
            f"{model.name} lies in an object store; a {BATCHING_FILE} there is not looked for"
            for model in models
            if not model.local
        )
    return Batching(bool(own), f"{comment}\n{format_batching()}", notes)


def _brings_parameters(model: Model) -> bool:
    present = model.versions()
    served = model.served() or list(present)[:1]
    return any((present[version] / BATCHING_FILE).is_file() for version in served if version in present)
