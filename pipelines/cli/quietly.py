"""Imports TensorFlow for one command without what it prints to the terminal, which helps nobody there."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

_LIBRARIES = ("tensorflow", "absl", "apache_beam")


def import_quietly() -> None:
    """Import TensorFlow and let it look for devices."""
    from penstock.pipelines.runners.workers import QUIET

    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    with _stderr_aside():
        import tensorflow as tf

        tf.config.list_physical_devices()
    logging.basicConfig(level=logging.ERROR)
    for library in _LIBRARIES:
        # Beam logs what a worker raises with its whole traceback; that is told once, in one message.
        logging.getLogger(library).setLevel(logging.CRITICAL)


@contextmanager
def _stderr_aside() -> Iterator[None]:
    """Keep what goes to standard error in a file; where the block fails, it is printed after all."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as aside:
        kept = os.dup(2)
        os.dup2(aside.fileno(), 2)
        failed = True
        try:
            yield
            failed = False
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            if failed:
                aside.seek(0)
                sys.stderr.write(aside.read().decode(errors="replace"))
