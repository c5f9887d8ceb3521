"""What starts a job server, and what is said when its jar cannot be had. Imports Beam."""

import threading
import zipfile
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from penstock.errors import ConfigError, EnvironmentProblem
from penstock.pipelines.engines.commands import server_command
from tests.pipelines.engines.job_service import write_jar

ADDRESS = "http://localhost:{port}/repository/beam-runners-flink-1.20-job-server-2.77.0.jar"


class _Repository(BaseHTTPRequestHandler):
    """Answers with a body, or with 404 where there is none."""

    def __init__(self, body, *arguments):
        self._body = body
        super().__init__(*arguments)

    def do_GET(self):
        self.send_response(200 if self._body else 404)
        self.send_header("Content-Length", str(len(self._body)))
        self.end_headers()
        self.wfile.write(self._body)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def repository():
    servers = []

    def start(body):
        server = ThreadingHTTPServer(("localhost", 0), partial(_Repository, body))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return ADDRESS.format(port=server.server_port)

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def _without_proxy(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def _command(tmp_path, *flags, engine="flink", jar=None):
    cache = f"--jar_cache_dir={tmp_path / 'cache'}"
    return server_command(engine, [cache, *flags], jar, "/usr/bin/java", str(tmp_path / "artifacts"))


def test_flink(tmp_path):
    jar = write_jar(tmp_path)
    command, endpoint = _command(tmp_path, "--flink_master=localhost:8081", "--job_port=8099", jar=str(jar))
    assert command[0] == "/usr/bin/java"
    assert "--add-opens=java.base/java.util=ALL-UNNAMED" in command
    assert command[command.index("-jar") :] == [
        *("-jar", str(jar), "--flink-master", "http://localhost:8081"),
        *("--artifacts-dir", str(tmp_path / "artifacts"), "--job-port", "8099"),
        *("--artifact-port", "0", "--expansion-port", "0"),
    ]
    assert endpoint == "localhost:8099"


def test_spark(tmp_path):
    jar = write_jar(tmp_path)
    command, endpoint = _command(tmp_path, "--spark_master_url=local[2]", engine="spark", jar=str(jar))
    assert command[command.index("-jar") + 1 :][:3] == [str(jar), "--spark-master-url", "local[2]"]
    assert endpoint.startswith("localhost:")


def test_another_java(tmp_path):
    command, _ = _command(tmp_path, "--job_server_java_launcher=/opt/java", jar=str(write_jar(tmp_path)))
    assert command[0] == "/opt/java"


def test_the_jar_of_the_installed_beam_is_taken_from_the_cache(tmp_path):
    from apache_beam.version import __version__

    cached = tmp_path / "cache" / f"beam-runners-flink-1.20-job-server-{__version__}.jar"
    cached.parent.mkdir()
    write_jar(tmp_path).rename(cached)
    command, _ = _command(tmp_path, "--flink_version=1.20")
    assert command[command.index("-jar") + 1] == str(cached)


def test_a_jar_is_fetched_into_the_cache(tmp_path, repository):
    address = repository(write_jar(tmp_path).read_bytes())
    command, _ = _command(tmp_path, f"--flink_job_server_jar={address}")
    fetched = command[command.index("-jar") + 1]
    assert fetched == str(tmp_path / "cache" / "beam-runners-flink-1.20-job-server-2.77.0.jar")
    assert zipfile.is_zipfile(fetched)


def test_a_jar_that_is_cut_does_not_stay(tmp_path, repository):
    with pytest.raises(EnvironmentProblem) as raised:
        _command(tmp_path, f"--flink_job_server_jar={repository(b'half of a jar')}")
    cached = tmp_path / "cache" / "beam-runners-flink-1.20-job-server-2.77.0.jar"
    assert str(raised.value) == (
        f"{cached}: the job server's jar is damaged, and was removed from the cache\n"
        "  received: 13 bytes that are no jar\n"
        "  next: run again: it is fetched anew"
    )
    assert not cached.exists()


def test_a_jar_of_ones_own_that_is_damaged_stays(tmp_path):
    jar = tmp_path / "mine.jar"
    jar.write_bytes(b"no jar")
    with pytest.raises(EnvironmentProblem, match="the job server's jar is damaged\n"):
        _command(tmp_path, jar=str(jar))
    assert jar.exists()


def test_the_repository_does_not_have_it(tmp_path, repository):
    with pytest.raises(EnvironmentProblem) as raised:
        _command(tmp_path, f"--flink_job_server_jar={repository(b'')}")
    assert str(raised.value) == (
        "the job server's jar cannot be fetched: beam-runners-flink-1.20-job-server-2.77.0.jar\n"
        "  received: HTTPError: HTTP Error 404: Not Found\n"
        "  expected: Maven Central within reach, or the jar on this machine\n"
        "  next: fetch org.apache.beam:beam-runners-flink-1.20-job-server:2.77.0 on a machine that can, and name the "
        "file: beam: {job_server_jar: PATH}"
    )


def test_the_repository_is_out_of_reach(tmp_path, repository):
    with pytest.raises(EnvironmentProblem, match="cannot be fetched") as raised:
        _command(tmp_path, f"--flink_job_server_jar={ADDRESS.format(port=1)}")
    assert "Connection refused" in str(raised.value.received)


def test_no_such_file(tmp_path):
    with pytest.raises(EnvironmentProblem, match="there is no job server's jar there"):
        _command(tmp_path, "--flink_job_server_jar=none.jar")


def test_what_beam_refuses(tmp_path, capsys):
    with pytest.raises(ConfigError, match="Beam refuses its options"):
        _command(tmp_path, "--flink_version=1.2")
    capsys.readouterr()
