"""``penstock schema``."""

from __future__ import annotations

from penstock.pipelines.cli.options import example, print_json


@example("penstock schema > configs/schema.json")
def schema() -> None:
    """Print the JSON Schema of a pipeline file, for editors."""
    from penstock.pipelines.json_schema import pipeline_schema

    print_json(pipeline_schema())
