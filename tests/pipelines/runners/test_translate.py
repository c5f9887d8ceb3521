"""Exceptions of libraries and user code become one clear error."""

import errno
from collections.abc import Callable

from penstock.errors import ArtifactError, EnvironmentProblem, PenstockError, UserCodeError
from penstock.pipelines.runners.translate import translate


def raised(function):
    try:
        function()
    except Exception as error:  # noqa: BLE001  What a step raises can be anything.
        return translate(error)
    raise AssertionError("nothing was raised")


def test_an_exception_from_user_code_shows_the_users_frames(project):
    file = project.write(
        "code.py", "def outer():\n    inner()\n\ndef inner():\n    raise ValueError('no such column')\n"
    )
    namespace: dict[str, Callable[[], None]] = {}
    exec(compile(file.read_text(), str(file), "exec"), namespace)
    error = raised(namespace["outer"])
    assert isinstance(error, UserCodeError)
    assert error.what == "your code raised ValueError: no such column"
    assert [(frame.function, frame.line) for frame in error.frames[-2:]] == [("outer", 2), ("inner", 5)]


def test_our_own_error_inside_another_comes_out():
    def fail():
        raise RuntimeError("executor failed") from ArtifactError("split 'eval' is empty", where="trainer")

    assert str(raised(fail)) == "trainer: split 'eval' is empty"


def test_a_full_disk():
    def fail():
        raise OSError(errno.ENOSPC, "No space left on device", "runs/model/saved_model.pb")

    error = raised(fail)
    assert isinstance(error, EnvironmentProblem)
    assert str(error).startswith("runs/model/saved_model.pb: No space left on device")
    assert "finished steps are kept" in str(error)


def test_a_full_disk_as_tensorflow_tells_it():
    error = translate(RuntimeError("ResourceExhausted: /x/variables; No space left on device [Op:Save]"))
    assert error.what == "No space left on device"


def test_a_full_disk_as_sqlite_tells_it():
    node = 'Cannot create node for type_id: 10 custom_properties { key: "config" ' * 99
    text = f"{node}Error when executing query: database or disk is full query: INSERT INTO `Context`"
    assert translate(RuntimeError(text)).what == "No space left on device"


def test_of_a_failed_query_what_the_database_says_is_told():
    text = "Cannot create node { }Error when executing query: cannot commit - no transaction is active query:  COMMIT;"
    assert translate(RuntimeError(text)).what == "RuntimeError: cannot commit - no transaction is active"


def test_no_memory_outside_of_user_code():
    error = translate(MemoryError("cannot allocate 4 GB"))
    assert isinstance(error, EnvironmentProblem)
    assert (error.what, error.received) == ("no memory is left", "MemoryError: cannot allocate 4 GB")


def test_beams_packed_traceback_is_one_line():
    message = "Traceback (most recent call last):\n  File 'x', line 1\nValueError: bad row [while running 'Parse']\n"
    error = translate(RuntimeError(message))
    assert type(error) is PenstockError
    assert error.what == "ValueError: bad row [while running 'Parse']"


def test_a_message_of_pages_is_cut():
    error = translate(ValueError("a name is required\n" + "\n".join(f"field {n}" for n in range(50))))
    assert error.what.startswith("ValueError: a name is required\nfield 0\n")
    assert error.what.endswith("field 4\n… 45 more lines in the log")


def test_a_line_of_pages_is_cut():
    assert translate(ValueError("x" * 9000)).what == f"ValueError: {'x' * 2000}… (all of it is in the log)"


def test_an_exception_without_a_message_is_named():
    assert translate(KeyError()).what == "KeyError"
