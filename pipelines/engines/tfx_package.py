"""TFX's own archive for Beam's workers: made only for workers that would unpack it. Imports TFX and Beam.

TFX packs its whole tree into a source archive for each Beam step whose options name no other code, wherever the step's
workers are. That takes seconds a step, and what it packed stays in the folder for temporary files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from penstock.pipelines.engines.names import LOOPBACK, engine_of


def workers_are_here(beam_args: Sequence[str]) -> bool:
    """Return whether Beam's workers are this process, its threads or its children, which all have what it has.

    Beam's runners on this machine have their workers here unless the options say otherwise, and any runner has them
    here if the options say so. What cannot be known counts as elsewhere.
    """
    from apache_beam.options.pipeline_options import PipelineOptions, PortableOptions, StandardOptions

    options = PipelineOptions(list(beam_args))
    environment = options.view_as(PortableOptions).environment_type
    if environment:
        return bool(environment == LOOPBACK)
    return engine_of(options.view_as(StandardOptions).runner or "") == "direct"


@contextmanager
def packed_where_needed() -> Iterator[None]:
    """Let TFX's executors that are made inside the block pack TFX only for workers elsewhere."""
    from tfx.utils import dependency_utils

    pack = dependency_utils.make_beam_dependency_flags

    def flags(beam_pipeline_args: list[str]) -> list[str]:
        return beam_pipeline_args if workers_are_here(beam_pipeline_args) else pack(beam_pipeline_args)

    dependency_utils.make_beam_dependency_flags = flags
    try:
        yield
    finally:
        dependency_utils.make_beam_dependency_flags = pack
