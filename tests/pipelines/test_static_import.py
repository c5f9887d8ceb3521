"""Import paths are followed without importing anything, and user code is hashed with what it imports."""

import hashlib
import sys

import pytest

from penstock.errors import ConfigError
from penstock.pipelines.static_import import digest, locate, module_digests, module_file


@pytest.fixture
def code(project):
    project.write("pkg/__init__.py", "")
    project.write(
        "pkg/model.py", "from pkg import layers\nfrom .deep.more import thing\nimport json\ndef build(): ...\n"
    )
    project.write("pkg/layers.py", "WIDTH = 3\n")
    project.write("pkg/deep/__init__.py", "")
    project.write("pkg/deep/more.py", "thing = 1\n")
    project.write("pkg/other.py", "unrelated = 1\n")
    return project


def test_nothing_is_imported(code):
    code.write("noisy.py", "raise RuntimeError('imported')\ndef f(): ...\n")
    assert locate("noisy.f", code.folder).kind == "function"
    assert "noisy" not in sys.modules


def test_what_a_name_is_bound_to(code):
    code.write(
        "kinds.py",
        "import os\nclass C: ...\nasync def a(): ...\nif os.name:\n    def b(): ...\ntry:\n    from x import c\n"
        "except ImportError:\n    c = None\nn: int = 3\nx, y = f()\n",
    )
    kinds = {name: locate(f"kinds.{name}", code.folder).kind for name in ("C", "a", "b", "n", "x", "os")}
    assert kinds == {"C": "class", "a": "function", "b": "function", "n": "value", "x": "unknown", "os": "unknown"}


def test_a_star_import_may_bring_anything(code):
    code.write("star.py", "from pkg.layers import *\n")
    assert locate("star.WIDTH", code.folder).kind == "unknown"


def test_packages_and_installed_modules(code):
    assert module_file("pkg", code.folder) == code.folder / "pkg/__init__.py"
    assert locate("json.loads", code.folder).kind == "function"
    with pytest.raises(ConfigError, match=r"'pkg.model' is a module"):
        locate("pkg.model", code.folder)


def test_a_module_with_a_syntax_error_is_named_with_its_line(code):
    file = code.write("broken.py", "def f(:\n")
    with pytest.raises(ConfigError, match=r"broken.py:1 is not valid Python"):
        locate("broken.f", code.folder)
    assert file.exists()


@pytest.mark.parametrize("changed", ["pkg/model.py", "pkg/layers.py", "pkg/deep/more.py", "pkg/__init__.py"])
def test_the_digest_follows_imports(code, changed):
    before = digest(["pkg.model.build"], code.folder)
    code.write(changed, "def build(): return 2\n")
    assert digest(["pkg.model.build"], code.folder) != before


def test_the_digest_ignores_neighbours(code):
    before = digest(["pkg.model.build"], code.folder)
    code.write("pkg/other.py", "unrelated = 2\n")
    assert digest(["pkg.model.build"], code.folder) == before


def test_the_digest_is_made_of_its_modules(code):
    before = module_digests(["pkg.model.build"], code.folder)
    assert list(before) == sorted(before)
    assert before["pkg.model"] == hashlib.sha256((code.folder / "pkg/model.py").read_bytes()).hexdigest()
    code.write("pkg/layers.py", "WIDTH = 4\n")
    after = module_digests(["pkg.model.build"], code.folder)
    assert [name for name in before if before[name] != after[name]] == ["pkg.layers"]


def test_installed_code_is_not_the_users(code):
    assert module_digests(["json.loads"], code.folder) == {}
    assert digest(["json.loads"], code.folder) == ""


def test_a_package_may_make_its_submodules_itself(code):
    code.write("lazy/__init__.py", "def __getattr__(name): ...\n")
    assert locate("lazy.inner.build", code.folder).kind == "unknown"
    with pytest.raises(ConfigError, match=r"no module 'pkg\.inner'"):
        locate("pkg.inner.build", code.folder)
