"""What the tests run in workers."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

from penstock.errors import ArtifactError


def add(left: int, right: int) -> int:
    return left + right


def where() -> tuple[str, str]:
    return str(Path.cwd()), sys.path[0]


def chatter() -> None:
    print("from Python")
    os.write(2, b"from C++\n")
    subprocess.run(["echo", "from a child"], check=True)


def refuse() -> NoReturn:
    raise ArtifactError("split 'eval' is empty", where="trainer")


def stumble() -> NoReturn:
    raise ValueError("no such column")


def vanish() -> NoReturn:
    os._exit(3)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def linger() -> str:
    time.sleep(600)
    return "done"


def stubborn() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)


def keras_of_steps() -> tuple[str, str | None]:
    import tensorflow as tf

    return tf.keras.__version__, os.environ.get("TF_USE_LEGACY_KERAS")
