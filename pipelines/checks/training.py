"""Rules about how the Trainer begins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from penstock.components.trainer.options import LATEST_BLESSED
from penstock.pipelines.config import Document, Problem
from penstock.pipelines.graph import Graph


def warm_start_has_a_model(graph: Graph, document: Document) -> Iterator[Problem]:
    """Without the wire a model would begin with new weights and nobody would notice."""
    for step in graph.of_type("Trainer"):
        start = getattr(step.config, "warm_start", None)
        if start is None:
            continue
        place = ("steps", step.name, "with", "warm_start", "from")
        if start.source == LATEST_BLESSED:
            if not step.inputs.get("base_model"):
                yield document.problem(
                    place,
                    f"step '{step.name}' starts from the latest blessed model, and no step looks it up",
                    received=LATEST_BLESSED,
                    hint="add the step  baseline: {component: Resolver, with: {strategy: latest_blessed}}  and under "
                    f"'{step.name}' write  inputs: {{base_model: baseline.model}}",
                )
        elif not Path(document.resolve(start.source)).is_file():
            yield document.problem(
                place,
                f"the model that step '{step.name}' starts from is not there",
                received=document.resolve(start.source),
                expected=f"a .keras file on this machine, or {LATEST_BLESSED}",
            )
