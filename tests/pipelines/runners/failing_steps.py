"""A step that fails in every way there is."""

import os
import signal
import sys
import time
from pathlib import Path

from tfx.dsl.component.experimental.annotations import OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types.standard_artifacts import Model


@component
def fail(model: OutputArtifact[Model], how: Parameter[str], token: Parameter[str]) -> None:
    """Leave half an output, then fail."""
    Path(model.uri, "half").write_text(how)
    if how == "raise":
        raise ValueError(f"no such column\nwith token {token!r}")
    if how == "leave":
        sys.exit("nothing to do")
    if how == "memory":
        raise MemoryError("cannot allocate 4 GB")
    if how == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "abort":
        os.kill(os.getpid(), signal.SIGABRT)
    time.sleep(600)
