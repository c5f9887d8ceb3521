"""Import paths of user code, resolved by reading source: nothing is imported, nothing is run."""

from __future__ import annotations

import ast
import hashlib
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Literal, NamedTuple

from penstock.closest import did_you_mean
from penstock.errors import ConfigError

_CHANGES_THE_SEARCH = re.compile(rb"sys\.(path|meta_path|modules)|__path__|addsitedir")
Kind = Literal["function", "component function", "class", "value", "unknown"]


@dataclass(frozen=True)
class Located:
    """Where an import path leads.

    Attributes:
        module: The dotted module.
        attribute: The name in it.
        file: The module's source file, or None when it has none (an extension module).
        kind: What the name is bound to, as far as the source tells.
    """

    module: str
    attribute: str
    file: Path | None
    kind: Kind


def locate(import_path: str, project: Path) -> Located:
    """Find what ``import_path`` names without importing it.

    Args:
        import_path: ``package.module.name``.
        project: The folder that user modules are relative to; searched first, then ``sys.path``.

    Returns:
        The module's file and the kind of the name.

    Raises:
        ConfigError: No such module, or the module defines no such name.
    """
    module, _, attribute = import_path.rpartition(".")
    if not module or not all(part.isidentifier() for part in import_path.split(".")):
        raise ConfigError(
            f"'{import_path}' is not an import path",
            expected="package.module.name, such as examples.digits.model.build_model",
        )
    file = module_file(module, project)
    if file is None:
        return Located(module, attribute, None, "unknown")
    names = _names(file, file.stat().st_mtime_ns)
    if attribute in names:
        return Located(module, attribute, file, names[attribute])
    if "*" in names or "__getattr__" in names:
        return Located(module, attribute, file, "unknown")
    if (file.parent / attribute).with_suffix(".py").exists() or (file.parent / attribute / "__init__.py").exists():
        raise ConfigError(
            f"'{import_path}' is a module", expected=f"a name in it: {import_path}.<name>", hint="add the name"
        )
    raise ConfigError(
        f"'{module}' defines no '{attribute}'",
        received=f"{_shown(file, project)} defines {', '.join(sorted(n for n in names if n[0] != '_')) or 'nothing'}",
        hint=did_you_mean(attribute, names),
    )


def module_file(module: str, project: Path) -> Path | None:
    """Return a module's source file; None when the module exists without one.

    Raises:
        ConfigError: No such module.
    """
    search: Sequence[str] | None = [str(project), *sys.path]
    spec: ModuleSpec | None = None
    parent: ModuleSpec | None = None
    parts = module.split(".")
    for depth, part in enumerate(parts):
        name = ".".join(parts[: depth + 1])
        spec = _find_spec(name, search)
        if spec is None:
            if _makes(parent, part):
                return None
            raise _no_module(name, part, search or [], project)
        parent = spec
        search = list(spec.submodule_search_locations) if spec.submodule_search_locations is not None else []
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    return Path(spec.origin)


def _find_spec(name: str, search: Sequence[str] | None) -> ModuleSpec | None:
    for finder in sys.meta_path:
        find = getattr(finder, "find_spec", None)
        spec = find(name, search) if find else None
        if isinstance(spec, ModuleSpec):
            return spec
    return None


def _makes(parent: ModuleSpec | None, part: str) -> bool:
    """Whether a package may provide a submodule in other ways than as a file, as TensorFlow does with Keras."""
    if parent is None or parent.origin is None or not parent.origin.endswith(".py"):
        return False
    file = Path(parent.origin)
    names = _names(file, file.stat().st_mtime_ns)
    return bool({part, "*", "__getattr__"} & names.keys())


def _no_module(name: str, part: str, search: Sequence[str], project: Path) -> ConfigError:
    beside = [path.stem for folder in search[:1] if folder for path in Path(folder).glob("[!_.]*") if _is_module(path)]
    return ConfigError(
        f"no module '{name}'",
        expected=f"a module under the project folder {project} or an installed package",
        hint=did_you_mean(part, beside),
    )


def _is_module(path: Path) -> bool:
    return path.suffix == ".py" or (path.is_dir() and any(path.glob("*.py")))


def _shown(file: Path, project: Path) -> str:
    return str(file.relative_to(project)) if file.is_relative_to(project) else str(file)


@cache
def _names(file: Path, _mtime_ns: int) -> dict[str, Kind]:
    """Return the names that a module binds at its top level; ``*`` stands for a star import."""
    names: dict[str, Kind] = {}
    for node in _statements(_parse(file).body):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                names[node.name] = "component function" if _is_component(node) else "function"
            case ast.ClassDef():
                names[node.name] = "class"
            case ast.Import() | ast.ImportFrom():
                names |= {alias.asname or alias.name.partition(".")[0]: "unknown" for alias in node.names}
            case ast.Assign() | ast.AnnAssign():
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                kind: Kind = "value" if isinstance(node.value, ast.Constant) else "unknown"
                names |= {t.id: kind for target in targets for t in ast.walk(target) if isinstance(t, ast.Name)}
    return names


def _statements(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield a module's statements, those in ``if``, ``try`` and ``with`` blocks included."""
    for node in body:
        yield node
        if isinstance(node, (ast.If, ast.Try, ast.With)):
            for name in ("body", "orelse", "finalbody"):
                yield from _statements(getattr(node, name, []))
            for handler in getattr(node, "handlers", []):
                yield from _statements(handler.body)


def _is_component(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    targets = [d.func if isinstance(d, ast.Call) else d for d in node.decorator_list]
    return any(ast.unparse(target).rpartition(".")[2] == "component" for target in targets)


def _parse(file: Path) -> ast.Module:
    try:
        return ast.parse(file.read_bytes(), filename=str(file))
    except (SyntaxError, ValueError) as error:
        line = f":{error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        reason = error.msg if isinstance(error, SyntaxError) else error
        raise ConfigError(f"{file}{line} is not valid Python: {reason}") from error


def digest(import_paths: Sequence[str], project: Path) -> str:
    """Hash the user code behind ``import_paths``: each module and whatever it imports from the project.

    Returns:
        A hexadecimal SHA-256 over module names and contents, or ``""`` when none lies in the project.
    """
    modules = _contents(import_paths, project)
    if not modules:
        return ""
    total = hashlib.sha256()
    for module, content in sorted(modules.items()):
        total.update(f"{module}\0{len(content)}\0".encode() + content)
    return total.hexdigest()


def module_digests(import_paths: Sequence[str], project: Path) -> dict[str, str]:
    """Return module → hexadecimal SHA-256 of its content, of the modules that :func:`digest` is made of, sorted."""
    modules = _contents(import_paths, project)
    return {module: hashlib.sha256(content).hexdigest() for module, content in sorted(modules.items())}


def _contents(import_paths: Sequence[str], project: Path) -> dict[str, bytes]:
    """Return module → content of the user code behind ``import_paths``.

    Args:
        import_paths: ``package.module.name`` each.
        project: The folder that user modules are relative to. Installed packages do not count.
    """
    return {module: file.read_bytes() for module, file in project_modules(import_paths, project).items()}


def project_modules(import_paths: Sequence[str], project: Path) -> dict[str, Path]:
    """Return the modules behind ``import_paths`` and whatever these import from the project, with their files.

    Args:
        import_paths: ``package.module.name`` each.
        project: The folder that user modules are relative to. Installed packages do not count.
    """
    pending = [path.rpartition(".")[0] for path in import_paths]
    found: dict[str, Path] = {}
    while pending:
        module = pending.pop()
        if module in found or (file := _project_file(module, project)) is None:
            continue
        found[module] = file
        pending += [".".join(module.split(".")[:depth]) for depth in range(1, module.count(".") + 1)]
        pending += _imports(module, file)
    return found


class Missing(NamedTuple):
    """An import of a module that is not there: the file and the line, and what it names."""

    file: Path
    line: int
    name: str


def missing_imports(import_paths: Sequence[str], project: Path) -> Iterator[Missing]:
    """Yield what the modules behind ``import_paths`` import at once, whatever happens, and what is nowhere.

    Modules that change where Python looks are left out.

    Args:
        import_paths: ``package.module.name`` each.
        project: The folder that user modules are relative to.

    Raises:
        ConfigError: A module is not valid Python.
    """
    search = [str(project), *sys.path]
    for file in project_modules(import_paths, project).values():
        if _CHANGES_THE_SEARCH.search(file.read_bytes()):
            continue
        for line, name in _imported_at_once(_parse(file)):
            if name not in sys.stdlib_module_names and _find_spec(name, search) is None:
                yield Missing(file, line, name)


def _imported_at_once(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and package of the absolute imports that stand in no block."""
    for node in module.body:
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.partition(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.lineno, node.module.partition(".")[0]


def _project_file(module: str, project: Path) -> Path | None:
    base = project.joinpath(*module.split("."))
    candidates = (base / "__init__.py", base.with_suffix(".py"))
    return next((path for path in candidates if path.is_file()), None)


def _imports(module: str, file: Path) -> Iterator[str]:
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(_parse(file)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")
            anchor = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            base = ".".join(part for part in (anchor, node.module or "") if part)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
