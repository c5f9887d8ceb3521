"""``penstock report``, ``metadata export`` and ``gc``: what they print, and what they say of bad input."""

import json
import sqlite3
import threading
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from typer.testing import CliRunner

from penstock.errors import PenstockError
from penstock.pipelines.cli.app import app
from tests.metadata.run_files import History, whole_run


@pytest.fixture
def history(project):
    project.write("data/rows.csv", "x,label\n1,0\n")
    project.pipeline(
        "  examples: {component: CsvExampleGen, with: {input_base: data}}\n", top="pipeline: digits\nroot: runs\n"
    )
    return History(project.folder / "runs")


def call(*arguments):
    ended = CliRunner().invoke(app, arguments)
    if ended.exception is not None and not isinstance(ended.exception, SystemExit):
        raise ended.exception
    return ended.exit_code, ended.stdout


def refused(*arguments):
    with pytest.raises(PenstockError) as caught:
        call(*arguments)
    return str(caught.value)


def test_report(history, project):
    whole_run(history, "r1")
    whole_run(history, "r2")
    code, told = call("report", "r1", "-o", "page.html")
    assert code == 0
    lines = told.splitlines()
    assert lines[0].startswith("page.html  ")
    assert lines[0].endswith(" kB, run r1 of digits")
    assert "  without Flatbuffers: no TFLiteConverter ran" in lines
    assert "digits, run r1" in (project.folder / "page.html").read_text(encoding="utf-8")


def test_report_as_json_of_the_latest(history, project):
    whole_run(history, "r1")
    whole_run(history, "r2")
    told = json.loads(call("report", "--json")[1])
    assert (told["run"], told["file"]) == ("r2", "report.html")
    assert told["bytes"] == (project.folder / "report.html").stat().st_size


def test_standard_output_stands_behind_a_dash(history, project):
    whole_run(history, "r1")
    assert call("report", "-o", "-")[1].startswith("<!doctype html>")
    assert call("metadata", "export", "-o", "-") == call("metadata", "export")
    assert not (project.folder / "-").exists()
    told = json.loads(call("report", "-o", "-", "--json")[1])["error"]
    assert (told["what"], told["hint"]) == ("--json and -o - both write to standard output", "name a file with -o")


def test_report_of_a_run_that_is_not_there(history):
    whole_run(history, "20261130-121024-492")
    told = refused("report", "20261130-121025-492")
    assert "there is no run '20261130-121025-492'" in told
    assert "did you mean '20261130-121024-492'?" in told
    assert json.loads(call("report", "nothing", "--json")[1])["error"]["cause"] == "config"


def test_report_that_cannot_be_written(history):
    whole_run(history, "r1")
    assert refused("report", "-o", "no/folder/page.html") == (
        "no/folder/page.html: the report cannot be written: No such file or directory\n"
        "  expected: a file in a folder that is there and can be written\n"
        "  next: name another file with -o"
    )


@pytest.mark.parametrize("command", [["report"], ["metadata", "export"], ["gc", "p.yaml"]])
def test_stores_that_cannot_be_read(history, command, monkeypatch):
    whole_run(history, "r1")
    del history.store
    monkeypatch.setattr("penstock.metadata.connection._WAIT_SECONDS", 0.1)
    with closing(sqlite3.connect(history.sqlite, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert "another process holds the metadata store locked" in refused(*command)
    history.sqlite.write_bytes(b"no database at all" * 100)
    assert "the file is no metadata store" in refused(*command)
    history.sqlite.unlink()
    assert "no metadata store" in refused(*command)


def test_export_to_standard_output(history):
    whole_run(history, "r1")
    lines = [json.loads(line) for line in call("metadata", "export")[1].splitlines()]
    assert (lines[0]["kind"], lines[-1]["kind"]) == ("store", "end")


def test_export_to_a_file(history, project):
    whole_run(history, "r1")
    code, told = call("metadata", "export", "--format", "openlineage", "-o", "events.jsonl", "--namespace", "team")
    assert (code, told.split("  ")[0]) == (0, "events.jsonl")
    events = [json.loads(line) for line in (project.folder / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    assert f"{len(events)} lines" in told
    assert {event["job"]["namespace"] for event in events} == {"team"}


def test_an_export_that_cannot_be_written(history):
    whole_run(history, "r1")
    assert refused("metadata", "export", "-o", "no/folder/x.jsonl").startswith(
        "no/folder/x.jsonl: the export cannot be written: No such file or directory"
    )


def test_gc_lists_and_then_removes(history):
    whole_run(history, "r1")
    whole_run(history, "r2")
    assert call("gc", "p.yaml", "--keep-runs", "1")[1] == (
        "step        run  artifacts       size  why\n"
        "examples    r1   1          100 bytes  no run that is kept, no version and no label refers to it\n"
        "statistics  r1   2          100 bytes  no run that is kept, no version and no label refers to it\n"
        "schema      r1   3          100 bytes  no run that is kept, no version and no label refers to it\n"
        "trainer     r1   4, 5       200 bytes  no run that is kept, no version and no label refers to it\n"
        "scores      r1   6          100 bytes  no run that is kept, no version and no label refers to it\n"
        "\n"
        "kept       size  for\n"
        "   5  600 bytes  run r2\n"
        "\n"
        "Would remove what 5 executions made, 600 bytes. --yes removes it.\n"
    )
    assert call("gc", "p.yaml", "--keep-runs", "1", "--yes")[1].endswith("Removed what 5 executions made, 600 bytes.\n")
    told = json.loads(call("gc", "p.yaml", "--keep-runs", "1", "--json")[1])
    assert (told["garbage"], told["bytes"], len(told["kept"])) == ([], 0, 5)


class _Catalogue(BaseHTTPRequestHandler):
    taken: list[tuple[str, str | None]] = []  # noqa: RUF012  One test at a time.
    answer = 201

    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.taken.append((event["eventType"], self.headers.get("Authorization")))
        self.send_response(self.answer if len(self.taken) != 3 else type(self).third)
        self.end_headers()
        self.wfile.write(b"no such thing")

    third = 201

    def log_message(self, *_):
        pass


@pytest.fixture
def catalogue(monkeypatch):
    monkeypatch.setattr(_Catalogue, "taken", [])
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Catalogue)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/api/v1/lineage"
    server.shutdown()
    thread.join()
    server.server_close()


def post(url):
    return "metadata", "export", "--format", "openlineage", "--post", url


def test_events_are_sent_in_order(history, catalogue, monkeypatch):
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "s3cret")
    history.step("r1", "examples")
    assert call(*post(catalogue))[1] == f"4 events sent to {catalogue}\n"
    assert _Catalogue.taken == [(kind, "Bearer s3cret") for kind in ("START", "START", "COMPLETE", "COMPLETE")]


def test_a_catalogue_that_refuses(history, catalogue, monkeypatch):
    monkeypatch.setattr(_Catalogue, "third", 404)
    history.step("r1", "examples")
    assert refused(*post(catalogue)) == (
        f"{catalogue}: the catalogue refused event 3\n"
        "  received: 404 Not Found: no such thing\n"
        "  next: check that the URL is that of an OpenLineage endpoint"
    )


def test_nobody_there(history):
    history.step("r1", "examples")
    told = refused(*post("http://127.0.0.1:9/lineage"))
    assert told.startswith("http://127.0.0.1:9/lineage: the catalogue does not answer: ")
    assert "received: ConnectError after 0 events" in told


@pytest.mark.parametrize("arguments", [["--post", "http://x"], ["--format", "openlineage", "--post", "x", "-o", "f"]])
def test_options_that_exclude_each_other(history, arguments):
    history.step("r1", "examples")
    assert "--post sends OpenLineage events instead of writing them" in refused("metadata", "export", *arguments)


def test_an_url_that_is_none(history):
    history.step("r1", "examples")
    assert "--post needs the URL of a catalogue" in refused(*post("localhost"))
