"""``penstock request`` against servers over real sockets."""

import json

import pytest

from penstock.errors import ConfigError, EnvironmentProblem, PenstockError
from penstock.pipelines.models.rows import body_of
from penstock.serving.errors import Code, ServingError
from tests.pipelines.models.command import invoke
from tests.ports import refusing
from tests.serving.fake_server import closing_server, http_server

ROWS = '[{"x": 0.1, "text": "a"}]'


def test_rows_from_standard_input_over_grpc(server):
    with server.running() as grpc:
        answer = invoke("request", "digits", "--grpc", grpc, "--version", 1, input=ROWS)
    assert (answer.exit_code, json.loads(answer.stdout)) == (0, [{"text": "a", "y": 0.1}])


def test_rows_from_a_file_over_rest(tmp_path):
    (tmp_path / "rows.json").write_text('{"x": 1}\n{"x": 2}\n')
    with http_server((200, '{"predictions": [1.5, 2.5]}')) as (url, asked):
        answer = invoke(
            "request", "digits", tmp_path / "rows.json", "--rest", url, "--label", "stable", "--signature", "s"
        )
    assert json.loads(answer.stdout) == [1.5, 2.5]
    body = {"signature_name": "s", "instances": [{"x": 1}, {"x": 2}]}
    assert asked == [("POST", "/v1/models/digits/labels/stable:predict", body)]


@pytest.mark.parametrize("method", ["predict", "classify", "regress"])
def test_which_version_answered_is_told_beside_the_answer(server, method):
    with server.running() as grpc:
        answer = invoke("request", "digits", "--grpc", grpc, "--method", method, input=ROWS)
    assert json.loads(answer.stdout)
    assert answer.stderr == (
        "version 2 of digits has answered, the newest that is loaded; --label or --version asks another\n"
    )


@pytest.mark.parametrize("asked", [("--version", 1), ("--label", "stable"), ("--method", "metadata")])
def test_who_names_a_version_is_told_nothing(server, asked):
    with server.running() as grpc:
        answer = invoke("request", "digits", "--grpc", grpc, *asked, input=ROWS)
    assert (answer.exit_code, answer.stderr) == (0, "")


def test_a_server_that_does_not_say_which_version_answered(server):
    server.failures["GetModelStatus"] = [ServingError(Code.INTERNAL, "broken")]
    with server.running() as grpc:
        answer = invoke("request", "digits", "--grpc", grpc, input=ROWS)
    assert json.loads(answer.stdout)
    assert "which version of digits has answered is not known: INTERNAL: broken" in answer.stderr


def test_the_server_that_serve_recorded(base, running):
    running()
    answer = invoke("request", "digits", "--method", "status", "--retries", 0)
    assert "no server can be reached at http://127.0.0.1:1" in str(answer.exception)


@pytest.mark.parametrize(
    ("method", "told"),
    [
        ("classify", [[["high", 0.5]]]),
        ("regress", [0.5]),
        ("status", [{"version": 1, "state": "AVAILABLE", "code": "OK", "message": ""}]),
    ],
)
def test_other_methods(server, method, told):
    with server.running() as grpc:
        answer = invoke("request", "digits", "--grpc", grpc, "--method", method, "--version", 1, input='[{"x": 0.5}]')
    assert json.loads(answer.stdout) == told


def test_metadata(server):
    with server.running() as grpc:
        answer = invoke("request", "digits", "--grpc", grpc, "--method", "metadata")
    assert json.loads(answer.stdout)["model_spec"]["version"] == "2"


def test_an_unknown_label_is_told_in_the_servers_words_with_what_there_is(server):
    with server.running() as grpc:
        answer = invoke("request", "digits", "--grpc", grpc, "--label", "no", input=ROWS)
    assert isinstance(answer.exception, PenstockError)
    assert str(answer.exception) == (
        "the server refused: Unrecognized servable version label: no\n"
        "  received: INVALID_ARGUMENT\n"
        "  expected: a version of digits that is loaded: 2, 1\n"
        "  next: 'penstock models list' shows versions and labels"
    )


def test_an_unknown_model_is_told_in_the_servers_words(server):
    with server.running() as grpc:
        answer = invoke("request", "other", "--grpc", grpc, "--version", 1, input=ROWS)
    assert isinstance(answer.exception, PenstockError)
    assert "NOT_FOUND" in str(answer.exception)
    assert "expected" not in str(answer.exception)


def test_a_request_that_fits_no_signature_is_told_what_they_take():
    definition = {
        "predict": {"inputs": {"y": {}, "image": {}}},
        "serving_default": {"inputs": {"examples": {}}},
        "__saved_model_init_op": {"inputs": {}},
    }
    metadata = {"model_spec": {}, "metadata": {"signature_def": {"signature_def": definition}}}
    answers = (400, '{"error": "JSON object: does not have named input: x"}'), (200, json.dumps(metadata))
    with http_server(*answers) as (url, _):
        answer = invoke("request", "digits", "--rest", url, input=ROWS)
    assert str(answer.exception) == (
        "the server refused: JSON object: does not have named input: x\n"
        "  received: INVALID_ARGUMENT\n"
        "  expected: what a signature of digits takes: predict(image, y), serving_default(examples)\n"
        "  next: choose another with --signature"
    )


def test_an_unreachable_server(server):
    with refusing() as port:
        answer = invoke("request", "digits", "--grpc", f"127.0.0.1:{port}", "--retries", 0, input=ROWS)
    assert isinstance(answer.exception, EnvironmentProblem)
    assert "no server can be reached" in str(answer.exception)


def test_a_server_that_dies_in_the_middle():
    with closing_server() as grpc:
        answer = invoke("request", "digits", "--grpc", grpc, "--retries", 0, "--timeout", 120, input=ROWS)
    assert isinstance(answer.exception, EnvironmentProblem)
    assert "ended the connection before it had answered" in str(answer.exception)


def test_no_server_is_known(base):
    answer = invoke("request", "digits", input=ROWS)
    assert "no server that serves digits is known here" in str(answer.exception)


@pytest.mark.parametrize(
    ("text", "rows", "columns"),
    [
        ("[1, 2]", [1, 2], None),
        ('{"x": 1}', [{"x": 1}], None),
        ('{"x": 1}\n\n{"x": 2}\n', [{"x": 1}, {"x": 2}], None),
        ('{"instances": [1]}', [1], None),
        ('{"examples": [{"x": 1}]}', [{"x": 1}], None),
        ('{"inputs": {"x": [1]}}', None, {"x": [1]}),
        ('{"inputs": 1, "instances": 2}', [{"inputs": 1, "instances": 2}], None),
        ("3", [3], None),
    ],
)
def test_ways_to_write_rows(text, rows, columns):
    body = body_of(text, "rows.json")
    assert (body.rows, body.columns) == (rows, columns)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "rows.json: there are no rows"),
        ("[]", "rows.json: there are no rows"),
        ("{", "rows.json: the rows are no JSON: Expecting property name"),
        ('[\n{"x": 1},\n]', "rows.json: the rows are no JSON: "),
        ('{"x": 1}\n{"x": \n', "rows.json, row 2: the rows are no JSON: Expecting value"),
        ('{"instances": 1}', "rows.json: the rows are no list"),
        ("[" * 100_000 + "]" * 100_000, "rows.json: the rows are lists within lists, too many of them"),
    ],
)
def test_rows_that_are_none(text, message):
    with pytest.raises(ConfigError) as raised:
        body_of(text, "rows.json")
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [("[1]", "row 1 is no object of features"), ('{"inputs": [1]}', "classify and regress take rows")],
)
def test_examples_that_are_none(text, message):
    with pytest.raises(ConfigError, match=message):
        body_of(text, "rows.json").examples()


@pytest.mark.parametrize(("content", "message"), [(None, "there is no such file of rows"), (b"\xff", "no UTF-8 text")])
def test_a_file_that_cannot_be_read(tmp_path, content, message):
    if content is not None:
        (tmp_path / "rows.json").write_bytes(content)
    answer = invoke("request", "digits", tmp_path / "rows.json", "--rest", "http://127.0.0.1:1")
    assert message in str(answer.exception)


def test_a_folder_is_no_file_of_rows(tmp_path):
    answer = invoke("request", "digits", tmp_path, "--rest", "http://127.0.0.1:1")
    assert str(answer.exception) == f"{tmp_path}: the rows cannot be read: Is a directory"


def test_a_body_that_the_server_calls_too_large():
    with http_server((413, '{"error": "The request\'s body is larger than 10 bytes"}')) as (url, _):
        answer = invoke("request", "digits", "--rest", url, input=ROWS)
    assert str(answer.exception) == (
        "the server refused: The request's body is larger than 10 bytes\n  received: RESOURCE_EXHAUSTED"
    )


def test_nan_goes_there_and_comes_back():
    with http_server((200, '{"predictions": [NaN, -Infinity]}')) as (url, asked):
        answer = invoke("request", "digits", "--rest", url, "--version", 1, input="[NaN, -Infinity]")
    assert answer.stdout.split() == ["[", "NaN,", "-Infinity", "]"]
    assert [str(value) for value in asked[0][2]["instances"]] == ["nan", "-inf"]


def test_an_answer_that_is_none_of_a_model_server():
    with http_server((200, '{"prediction": 1}')) as (url, _):
        answer = invoke("request", "digits", "--rest", url, input=ROWS)
    assert isinstance(answer.exception, EnvironmentProblem)
    assert str(answer.exception).startswith(f"{url} does not answer as a model server\n  received: HTTP 200: ")
