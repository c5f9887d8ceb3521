"""Loading a configuration: text, files that it extends, overrides, references, types."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from penstock.errors import ConfigError
from penstock.metadata.server import PORTS, Location, Server
from penstock.pipelines.config.document import Document
from penstock.pipelines.config.files import FileReader, project_of
from penstock.pipelines.config.marks import shown_path
from penstock.pipelines.config.models import MetadataConfig, PipelineConfig
from penstock.pipelines.config.overrides import apply_overrides
from penstock.pipelines.config.problems import ConfigProblems, Problem
from penstock.pipelines.config.remainder import without_wrong
from penstock.pipelines.config.substitution import Substitution
from penstock.pipelines.config.translate import problems_from_pydantic
from penstock.pipelines.config.tree import Node, Places, flatten


@dataclass(frozen=True)
class Loaded:
    """A configuration that is right as far as its own text goes.

    Args:
        config: The typed configuration.
        document: Its data and where every part was written.
    """

    config: PipelineConfig
    document: Document

    @property
    def root(self) -> str:
        """The pipeline's root folder, absolute, or a URL."""
        return self.document.resolve(self.config.root)

    @property
    def server(self) -> Server | None:
        """The database that is the metadata store; None where that is a file."""
        for kind in ("mysql", "postgresql"):
            at = getattr(self.config.metadata, kind)
            if at is not None:
                return Server(kind, at.host, at.port or PORTS[kind], at.database, at.user, at.password_env)
        return None

    @property
    def sqlite(self) -> str:
        """The metadata store's SQLite file, absolute; a URL when the root is one and no file was named.

        Empty where the store is a database of a server.
        """
        return "" if self.server is not None else self.document.resolve(self.config.metadata.sqlite)

    @property
    def location(self) -> Location:
        """The metadata store.

        Raises:
            ConfigError: It is neither a file nor a database: the root is a URL.
        """
        if self.server is not None:
            return self.server
        if "://" in self.sqlite:
            raise ConfigError(
                "the metadata store of this pipeline is not on this machine",
                where=shown_path(self.document.file),
                received=self.sqlite,
                expected="a SQLite file, such as metadata: {sqlite: runs/metadata.sqlite}, or a database of a server",
            )
        return Path(self.sqlite)


@dataclass(frozen=True)
class Reading:
    """What a file says, right or wrong.

    Args:
        rest: The configuration without what is wrong; None when too little is left to look at any further.
        problems: What is wrong.
        left_out: The steps that ``rest`` leaves out.
    """

    rest: Loaded | None
    problems: tuple[Problem, ...] = ()
    left_out: frozenset[str] = frozenset()


def load(file: str | Path, overrides: Sequence[str] = (), environ: Mapping[str, str] | None = None) -> Loaded:
    """Return the typed configuration of a file.

    Args:
        file: The YAML file.
        overrides: ``--set`` arguments, each ``path.to.key=value``; applied in order before references are replaced.
        environ: Environment for ``${env.NAME}``; that of this process when None.

    Raises:
        ConfigProblems: Everything that is wrong, located. Values from the environment are not shown.
    """
    reading = read(file, overrides, environ)
    if reading.rest is None or reading.problems:
        raise ConfigProblems(reading.problems, file)
    return reading.rest


def read(file: str | Path, overrides: Sequence[str] = (), environ: Mapping[str, str] | None = None) -> Reading:
    """Return what can be read of a file, so that the rest of it can be checked too; arguments as for :func:`load`."""
    if "\0" in str(file):
        return Reading(None, (Problem(f"'{shown_path(file)}' is no file name: it holds a null character"),))
    path = Path(os.path.abspath(file))  # noqa: PTH100 - keeps links as the user wrote them
    reader = FileReader()
    tree = reader.read(path)
    if tree is None or reader.incomplete:
        return Reading(None, tuple(reader.problems))
    tree, problems = apply_overrides(tree, overrides)
    document, places, unresolved = _resolved(path, tree, os.environ if environ is None else environ)
    config, mistyped = _typed(document, places)
    found = (*reader.problems, *problems, *unresolved, *mistyped)
    if config is not None and not found:
        return Reading(Loaded(config, document))
    rest, left_out = without_wrong(document.data, [problem.path for problem in found])
    return Reading(Loaded(rest, document) if rest else None, found, left_out)


def _resolved(file: Path, tree: Node, environ: Mapping[str, str]) -> tuple[Document, Places, list[Problem]]:
    data, places = flatten(tree)
    raw = _with_metadata(data)
    substitution = Substitution(raw, places, environ)
    resolved, origins = substitution.run()
    document = Document(file, project_of(file), resolved, places, origins=origins, environ=substitution.used, raw=raw)
    return document, places, substitution.problems


def _with_metadata(data: dict[str, Any]) -> dict[str, Any]:
    """Return the data with the default metadata file, which names the root and so must be there before references."""
    metadata = data.get("metadata", {})
    if not isinstance(metadata, dict):
        return data
    if metadata.keys() & {"mysql", "postgresql"}:
        return data
    default = MetadataConfig.model_fields["sqlite"].default
    return {**data, "metadata": {"sqlite": default, **metadata}}


def _typed(document: Document, places: Places) -> tuple[PipelineConfig | None, list[Problem]]:
    try:
        return PipelineConfig.model_validate(document.data), []
    except ValidationError as error:
        problems = problems_from_pydantic(document, error, (), PipelineConfig)
        return None, [problem for problem in problems if not places.is_damaged(problem.path)]
