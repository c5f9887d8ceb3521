"""Real database servers of the system's packages, on loopback, with their data in a temporary folder.

They do not wait for the disk: what the tests end is the server, and what it has written the system still has.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import mkdtemp

import pg8000.exceptions
import pg8000.native
import psutil
import pymysql
import pytest

from penstock.metadata.server import Server
from tests.ports import free_port

PASSWORD = "not for any log"
READER, BLIND = "reader", "blind"
"""Other users: one who may only read, and one who may do nothing."""
VARIABLE = "PENSTOCK_TEST_DATABASE"
_PATIENCE_SECONDS = 240


@dataclass
class Database:
    """A server that can be stopped and started again.

    Attributes:
        server: Where it is.
        command: What starts it.
        user: The system's user that it runs as; None for this one.
    """

    server: Server
    command: list[str]
    user: str | None
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            command, environment = _as(self.user, self.command), _environment(self.folder)
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                self.rows("", "SELECT 1")
            except (OSError, pymysql.MySQLError, pg8000.exceptions.Error):
                assert self.process.poll() is None, (self.folder / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.1)
            else:
                return

    def database(self, name: str) -> Server:
        """Return another database of the server, which is not there yet."""
        return replace(self.server, database=f"meta_{name}")

    def rows(self, database: str, statement: str) -> list[tuple[object, ...]]:
        """Run a statement as the administrator; return what it gives."""
        if self.server.kind == "mysql":
            opened = pymysql.connect(
                host="127.0.0.1", port=self.server.port, user="admin", password=PASSWORD, database=database or None
            )
            with closing(opened), opened.cursor() as cursor:
                cursor.execute(statement)
                opened.commit()
                return list(cursor.fetchall())
        name = database or "postgres"
        at = {"host": "127.0.0.1", "port": self.server.port, "password": PASSWORD, "database": name}
        with closing(pg8000.native.Connection("pen", **at)) as connection:
            return [tuple(row) for row in connection.run(statement) or ()]

    def dump(self, database: str) -> dict[str, list[str]]:
        """Return table → its rows, as text."""
        schema = "public" if self.server.kind == "postgresql" else database
        query = f"SELECT table_name FROM information_schema.tables WHERE table_schema = '{schema}'"
        tables = sorted(str(name) for (name,) in self.rows(database, query))
        return {table: sorted(map(str, self.rows(database, f"SELECT * FROM {table}"))) for table in tables}

    def stop(self) -> None:
        """End it as a power cut would: with it, at once, the processes that serve its connections.

        Those of PostgreSQL live on for a moment when only the first is gone, and answer what is asked meanwhile.
        """
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGSTOP)
        serving = psutil.Process(self.process.pid).children(recursive=True)
        self.process.kill()
        for each in serving:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        self.process.wait()
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while any(map(_runs, serving)):
            assert time.monotonic() < deadline, serving
            time.sleep(0.01)


def binary(name: str, *folders: str) -> str:
    """Return the path of a server's program; skip the test where it is not installed."""
    found = shutil.which(name, path=os.pathsep.join([os.environ["PATH"], "/usr/sbin", *folders]))
    if found is None:
        pytest.skip(f"{name} is not installed: apt-get install mariadb-server postgresql")
    return found


@contextmanager
def mariadb() -> Iterator[Database]:
    """Start MariaDB with an empty data folder."""
    server, install = binary("mariadbd"), binary("mariadb-install-db")
    folder = Path(mkdtemp(prefix="penstock-mariadb-"))
    user, port = _user("mysql", folder), free_port()
    data, setup = folder / "data", folder / "setup.sql"
    options = [f"--datadir={data}", *([f"--user={user}"] if user else [])]
    _finish([install, *options, "--skip-test-db"], folder)
    setup.write_text(
        "CREATE DATABASE IF NOT EXISTS meta;\n"
        f"CREATE USER IF NOT EXISTS 'pen'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\n"
        "GRANT ALL ON `meta%`.* TO 'pen'@'127.0.0.1';\n"
        f"CREATE USER IF NOT EXISTS 'admin'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\n"
        "GRANT ALL ON *.* TO 'admin'@'127.0.0.1';\n"
        f"CREATE USER IF NOT EXISTS '{READER}'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\n"
        f"GRANT SELECT ON `meta%`.* TO '{READER}'@'127.0.0.1';\n"
        f"CREATE USER IF NOT EXISTS '{BLIND}'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\n"
    )
    setup.chmod(0o644)  # The server is another user, and the umask may keep others out.
    command = [server, "--no-defaults", *options, f"--port={port}", "--bind-address=127.0.0.1", f"--init-file={setup}"]
    command += [f"--socket={folder / 's'}", f"--pid-file={folder / 'pid'}"]
    command += ["--innodb-flush-method=nosync", "--innodb-flush-log-at-trx-commit=2"]
    yield from _running(Database(Server("mysql", "127.0.0.1", port, "meta", "pen", VARIABLE), command, None, folder))


@contextmanager
def postgresql() -> Iterator[Database]:
    """Start PostgreSQL with an empty data folder."""
    folders = sorted(str(path) for path in Path("/usr/lib/postgresql").glob("*/bin"))
    server, install = binary("postgres", *folders), binary("initdb", *folders)
    folder = Path(mkdtemp(prefix="penstock-postgresql-"))
    user, port = _user("postgres", folder), free_port()
    password = folder / "password"
    password.write_text(PASSWORD)
    password.chmod(0o644)
    data = ["-D", str(folder / "data")]
    initialize = [install, *data, "-U", "pen", f"--pwfile={password}", "--auth=scram-sha-256", "--no-sync"]
    _finish(_as(user, initialize), folder)
    command = [server, *data, "-p", str(port), "-h", "127.0.0.1", "-k", str(folder), "-c", "fsync=off"]
    database = Database(Server("postgresql", "127.0.0.1", port, "postgres", "pen", VARIABLE), command, user, folder)
    for started in _running(database):
        for name in (READER, BLIND):
            database.rows("", f"CREATE USER {name} PASSWORD '{PASSWORD}'")
        database.rows("", f"GRANT pg_read_all_data TO {READER}")
        yield started


KINDS = {"mysql": mariadb, "postgresql": postgresql}


def declared(server: Server) -> str:
    """Return what a pipeline's file says of its store."""
    return (
        f"{{{server.kind}: {{host: {server.host}, port: {server.port}, database: {server.database}, "
        f"user: {server.user}, password_env: {VARIABLE}}}}}"
    )


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _running(database: Database) -> Iterator[Database]:
    database.start()
    try:
        yield database
    finally:
        database.stop()
        shutil.rmtree(database.folder, ignore_errors=True)


def _user(name: str, folder: Path) -> str | None:
    """Return the user of a server that does not run as root, who gets the folder; None where we are not root.

    The folder is none of pytest's, which other users cannot look into.
    """
    if os.geteuid() != 0:
        return None
    shutil.chown(folder, name)
    return name


def _finish(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=_environment(folder))
    assert done.returncode == 0, done.stdout + done.stderr


def _environment(folder: Path) -> dict[str, str]:
    """Return the variables of a server: MariaDB removes temporary tables of any other, where it finds them."""
    return {**os.environ, "TMPDIR": str(folder)}


def _as(user: str | None, command: list[str]) -> list[str]:
    """Return what runs a command as a user; ``subprocess`` would fork for that, which gRPC's threads do not bear."""
    return command if user is None else ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", *command]
