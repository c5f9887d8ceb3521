"""A metadata store in the database of a server, whose password comes from the environment when it is needed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penstock.errors import EnvironmentProblem

PORTS = {"mysql": 3306, "postgresql": 5432}


@dataclass(frozen=True)
class Server:
    """One database.

    Attributes:
        kind: ``mysql``, which MariaDB is too, or ``postgresql``.
        password_env: The environment variable with the password; None where none is needed.
    """

    kind: str
    host: str
    port: int
    database: str
    user: str
    password_env: str | None = None

    def __str__(self) -> str:
        return f"{self.kind}://{self.user}@{self.host}:{self.port}/{self.database}"

    @classmethod
    def of(cls, config: Any) -> Server | None:
        """Return the server of a ``ConnectionConfig`` of :meth:`connection`; None for one of a file."""
        if config.WhichOneof("config") == "mysql":
            at = config.mysql
            return cls("mysql", at.host, at.port, at.database, at.user, at.password or None)
        if config.WhichOneof("config") == "postgresql":
            at = config.postgresql
            return cls("postgresql", at.host, int(at.port), at.dbname, at.user, at.password or None)
        return None

    def connection(self, password: str = "", *, create: bool = True) -> Any:
        """Return ML Metadata's ``ConnectionConfig``; with ``create`` it makes a database that is not there."""
        from ml_metadata.proto import metadata_store_pb2 as pb

        common = {"host": self.host, "user": self.user, "password": password, "skip_db_creation": not create}
        if self.kind == "mysql":
            return pb.ConnectionConfig(mysql=pb.MySQLDatabaseConfig(port=self.port, database=self.database, **common))
        named = {"port": str(self.port), "dbname": self.database}
        return pb.ConnectionConfig(postgresql=pb.PostgreSQLDatabaseConfig(**named, **common))

    def without_password(self) -> Any:
        """Return the same, with the variable's name in the place of the password: it may be written down."""
        return self.connection(self.password_env or "")

    def with_password(self, *, create: bool = True) -> Any:
        """Return the same, with the password.

        Raises:
            EnvironmentProblem: The variable is not set.
        """
        # ML Metadata puts PostgreSQL's into libpq's connection string as it is.
        password = self.password() if self.kind == "mysql" else _quoted(self.password())
        return self.connection(password, create=create)

    def password(self) -> str:
        """Return the password; empty where none is needed.

        Raises:
            EnvironmentProblem: The variable is not set.
        """
        found = os.environ.get(self.password_env) if self.password_env is not None else ""
        if found is None:
            raise EnvironmentProblem(
                f"the password of {self} is not there",
                where="metadata.password_env",
                received=f"no environment variable {self.password_env}",
                hint=f"set {self.password_env}",
            )
        return found


Location = Path | Server
"""Where a metadata store is: a file of SQLite, or a database of a server."""


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
