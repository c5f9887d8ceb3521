"""Asks a server in its own protocol what ML Metadata tells late, or only after it has made tables of its own."""

from __future__ import annotations

import socket
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum

from penstock.metadata.server import Server

WAIT_SECONDS = 5.0
"""For the server to answer; ML Metadata would wait for as long as the system does."""
_QUESTION = "SELECT schema_version FROM MLMDEnv"


class Trouble(StrEnum):
    """What is wrong with a server's store."""

    AWAY = "it does not answer"
    USER = "it refuses the user"
    RIGHTS = "the user may not read it"
    NO_DATABASE = "there is no such database"
    NO_TABLES = "the database has no tables of ML Metadata"
    OTHER = "something else"


@dataclass(frozen=True)
class Finding:
    """What is wrong, and what the server says of it, which never has the password in it."""

    trouble: Trouble
    said: str


_MYSQL = {
    1044: Trouble.RIGHTS,
    1045: Trouble.USER,
    1049: Trouble.NO_DATABASE,
    1130: Trouble.USER,
    1142: Trouble.RIGHTS,
    1146: Trouble.NO_TABLES,
    1698: Trouble.USER,
}
_MYSQL_CLIENT = range(2000, 2100)
_POSTGRESQL = {
    "28000": Trouble.USER,
    "28P01": Trouble.USER,
    "3D000": Trouble.NO_DATABASE,
    "42501": Trouble.RIGHTS,
    "42P01": Trouble.NO_TABLES,
    "57P03": Trouble.AWAY,
}


def look_at(server: Server) -> Finding | None:
    """Return what keeps a server's store from being read; None where nothing does. Changes nothing.

    Raises:
        EnvironmentProblem: The variable with the password is not set.
    """
    password = server.password()
    return _mysql(server, password) if server.kind == "mysql" else _postgresql(server, password)


def _mysql(server: Server, password: str) -> Finding | None:
    import pymysql

    try:
        connection = pymysql.connect(
            host=server.host,
            port=server.port,
            user=server.user,
            password=password,
            database=server.database,
            connect_timeout=WAIT_SECONDS,
            read_timeout=WAIT_SECONDS,
        )
        with closing(connection), connection.cursor() as cursor:
            cursor.execute(_QUESTION)
    except pymysql.MySQLError as error:
        code = error.args[0] if error.args else 0
        away = Trouble.AWAY if code in _MYSQL_CLIENT else Trouble.OTHER
        return Finding(_MYSQL.get(code, away), str(error.args[-1] if error.args else error))
    return None


def _postgresql(server: Server, password: str) -> Finding | None:
    from pg8000.exceptions import DatabaseError, InterfaceError
    from pg8000.native import Connection

    try:
        # A socket of ours: pg8000 leaves one open where the server does not answer.
        with (
            socket.create_connection((server.host, server.port), WAIT_SECONDS) as opened,
            closing(Connection(server.user, password=password, database=server.database, sock=opened)) as connection,
        ):
            connection.run(_QUESTION)
    except DatabaseError as error:
        told = error.args[0] if error.args and isinstance(error.args[0], dict) else {}
        return Finding(_POSTGRESQL.get(told.get("C", ""), Trouble.OTHER), told.get("M", str(error)))
    except (InterfaceError, OSError) as error:
        return Finding(Trouble.AWAY, str(error))
    return None
