from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from penstock.errors import ConfigError, UserCodeError
from penstock.user_code import import_function, user_code_boundary

Write = Callable[[str, str], None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    monkeypatch.syspath_prepend(str(tmp_path))

    def write_file(name: str, source: str) -> None:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source)

    return write_file


def test_imports_a_function(write: Write) -> None:
    write("user_pkg_a/__init__.py", "")
    write("user_pkg_a/model.py", "def build():\n    return 3\n")
    assert import_function("user_pkg_a.model.build")() == 3


@pytest.mark.parametrize(
    ("path", "missing", "hint"),
    [
        ("user_pkg_b.modle.build", "user_pkg_b.modle", "did you mean 'user_pkg_b.model'?"),
        ("user_pkgb.model.build", "user_pkgb", "did you mean 'user_pkg_b'?"),
    ],
)
def test_a_module_that_is_missing(write: Write, path: str, missing: str, hint: str) -> None:
    write("user_pkg_b/__init__.py", "")
    write("user_pkg_b/model.py", "")
    with pytest.raises(UserCodeError, match=f"there is no module '{missing}'") as caught:
        import_function(path)
    assert (caught.value.received, caught.value.hint, caught.value.frames) == (path, hint, ())


def test_a_module_that_imports_what_is_missing(write: Write) -> None:
    write("user_mod_c.py", "import not_installed_anywhere\n")
    with pytest.raises(UserCodeError, match="raised ModuleNotFoundError: No module named 'not_inst") as caught:
        import_function("user_mod_c.build")
    assert [frame.source for frame in caught.value.frames] == ["import not_installed_anywhere"]


def test_a_module_that_is_no_python(write: Write) -> None:
    write("user_mod_d.py", "def build(:\n")
    with pytest.raises(UserCodeError, match="importing 'user_mod_d' raised SyntaxError"):
        import_function("user_mod_d.build")


def test_a_function_that_is_missing(write: Write) -> None:
    write("user_mod_e.py", "def build_model(): ...\n")
    with pytest.raises(UserCodeError, match="module 'user_mod_e' has no attribute 'build_modle'") as caught:
        import_function("user_mod_e.build_modle")
    assert caught.value.hint == "did you mean 'build_model'?"
    assert str(caught.value.where).endswith("user_mod_e.py")


def test_what_cannot_be_called(write: Write) -> None:
    write("user_mod_f.py", "build = 3\n")
    with pytest.raises(UserCodeError, match=r"'user_mod_f\.build' is not callable") as caught:
        import_function("user_mod_f.build")
    assert caught.value.received == "int 3"


def test_a_path_without_a_module() -> None:
    with pytest.raises(UserCodeError, match="'build' is no import path"):
        import_function("build")


def test_the_boundary_shows_only_the_users_frames(write: Write) -> None:
    write("user_mod_g.py", "import json\ndef load(text):\n    return json.loads(text)\n")
    load = import_function("user_mod_g.load")
    with pytest.raises(UserCodeError) as caught, user_code_boundary("loading", where="step 'trainer'"):
        load("{")
    error = caught.value
    assert error.what.startswith("loading raised JSONDecodeError: Expecting property name")
    assert error.where == "step 'trainer'"
    assert [(frame.function, frame.line) for frame in error.frames if "user_mod_g" in frame.file] == [("load", 3)]
    assert not any("json" in Path(frame.file).parts for frame in error.frames)


def test_an_exit_is_the_users_failure_and_an_interrupt_is_not() -> None:
    with pytest.raises(UserCodeError, match="the hook raised SystemExit: 3"), user_code_boundary("the hook"):
        raise SystemExit(3)
    with pytest.raises(KeyboardInterrupt), user_code_boundary("the hook"):
        raise KeyboardInterrupt


def test_penstock_errors_pass_unchanged() -> None:
    error = ConfigError("no")
    with pytest.raises(ConfigError) as caught, user_code_boundary("the hook"):
        raise error
    assert caught.value is error


def test_a_very_long_message_is_cut() -> None:
    with pytest.raises(UserCodeError) as caught, user_code_boundary("the hook"):
        raise ValueError("x" * 9000)
    assert caught.value.what.endswith("x […]")
    assert len(caught.value.what) < 2100
