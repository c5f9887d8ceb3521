"""What the tests run in workers."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import NoReturn

from penstock.errors import ArtifactError
from penstock.reporting import log_file, note, status


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


def leave() -> NoReturn:
    sys.exit("nothing to do")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def temporary() -> str:
    return tempfile.gettempdir()


def linger() -> str:
    time.sleep(600)
    return "done"


def stubborn() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    status("not to be stopped")
    time.sleep(600)


def keras_of_steps() -> tuple[str, str | None]:
    import tensorflow as tf

    return tf.keras.__version__, os.environ.get("TF_USE_LEGACY_KERAS")


def talk(count: int) -> str:
    for number in range(count):
        status(f"step {number + 1}/{count}")
        note(f"note {number + 1}")
    return "done"


def note_of(characters: int) -> None:
    note("x" * characters)


def name_log() -> Path | None:
    return log_file()


def note_and_die() -> None:
    note("about to die")
    status("dying")
    (courier,) = (thread._target.__self__ for thread in threading.enumerate() if thread.name == "courier")  # type: ignore[attr-defined]
    while courier._sent != "dying":  # A status is sent after the notes before it.
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGKILL)


def status_and_linger() -> None:
    status("waiting for the others")
    time.sleep(600)


def talk_when_cancelled(characters: int, cleaned: Path) -> None:
    try:
        status("until cancelled")
        time.sleep(600)
    finally:
        note("x" * characters)
        cleaned.touch()


def _fork(child: Path) -> None:
    """Start a helper that lives on with all that it inherits, the pipe included, and ignores requests to end."""
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(600)
    child.with_suffix(".part").write_text(str(pid))
    child.with_suffix(".part").rename(child)


def fork_and_die(child: Path) -> None:
    _fork(child)
    os.kill(os.getpid(), signal.SIGKILL)


def fork_and_linger(child: Path) -> None:
    _fork(child)
    time.sleep(600)
