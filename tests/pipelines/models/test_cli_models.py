"""``penstock models``: what it prints, what it refuses."""

import json
import re
import shutil
from contextlib import contextmanager

import pytest

from penstock.errors import ConfigError, EnvironmentProblem, PenstockError
from penstock.metadata.label_changes import label_changes
from penstock.serving.errors import Code, ServingError
from penstock.serving.label_history import read_moves
from penstock.serving.manifest import MANIFEST, Manifest
from penstock.serving.model_config import ModelEntry, ModelsFile, VersionPolicy
from penstock.serving.models.state import State
from penstock.serving.places import changing, point_to_config
from tests.metadata.lineage import Lineage
from tests.pipelines.models.command import invoke
from tests.pipelines.models.pushed import configure, push

NO_STORE = "Not recorded in ML Metadata: no store knows version 2 of digits.\n"


@pytest.fixture
def lineage(base, tmp_path):
    """The store of the pipeline that pushed version 2."""
    lineage = Lineage(tmp_path / "metadata.sqlite")
    lineage.push(2, Manifest.from_bytes((base / "2" / MANIFEST).read_bytes()).digest)
    return lineage


@pytest.mark.parametrize("command", ["list", "show", "promote", "rollback", "verify", "prune"])
def test_every_command_has_help_with_an_example(command):
    answer = invoke("models", command, "--help")
    assert answer.exit_code == 0
    assert f"Example: penstock models {command}" in answer.output


def test_list(base):
    assert invoke("models", "list").output == f"digits  versions 2, 1  stable → 1  asked for 1, 2  {base}\n"
    (found,) = json.loads(invoke("models", "list", "--json").output)
    assert (found["versions"], found["labels"], found["asked_for"]) == ([2, 1], {"stable": 1}, [1, 2])
    assert (found["server"], found["available"]) == (None, [])


def test_list_what_a_server_has(server, running):
    grpc = running()
    server.states["digits", 2] = (State.LOADING, Code.OK, "")
    assert f"  asked for 1, 2  AVAILABLE 1 at {grpc}  " in invoke("models", "list").output
    (found,) = json.loads(invoke("models", "list", "--json").output)
    assert (found["server"], found["available"]) == (grpc, [1])


def test_list_where_nothing_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert invoke("models", "list").output == "No pushed model was found below this folder.\n"


def test_show_a_model_and_where_it_is_served(base, config, server, running):
    grpc = running()
    server.states["digits", 2] = (State.LOADING, Code.OK, "")
    lines = invoke("models", "show", "digits").output.splitlines()
    assert lines[:3] == [f"digits  {base}", f"  config   {config}", f"  server   {grpc}"]
    assert lines[3].startswith("  version 2  LOADING  digest ")
    assert lines[4].startswith("  version 1  AVAILABLE  stable  digest ")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ServingError(Code.INTERNAL, "broken"), "(it answers INTERNAL: broken)"),
        (ServingError(Code.NOT_FOUND, "none"), "127.0.0.1:"),
    ],
)
def test_show_where_the_server_does_not_say(server, running, error, told):
    running()
    server.failures["GetModelStatus"] = [error]
    assert told in invoke("models", "show", "digits").output


def test_show_the_story_of_a_version(lineage):
    output = invoke("models", "show", "digits/2").output
    for line in (
        "  pushed    blessed by the Evaluator, by digits in run run1",
        "  commit    abc123+",
        "  data      /raw  sum:7; xor:1",
        "  training  accuracy 0.75",
        "  evaluated no figures  blessed",
        "  trainer   epochs=3",
        "  labels    no promotion or rollback recorded",
        "  predicted /scores/1",
        f"  store     {lineage.file}",
    ):
        assert line in output.splitlines()


def test_show_the_version_of_a_label(base, config):
    lines = invoke("models", "show", "digits@stable").output.splitlines()
    assert [line.split()[:2] for line in lines if line.startswith("  version")] == [["version", "1"]]


def test_show_as_json(lineage):
    (found,) = json.loads(invoke("models", "show", "digits/2", "--json").output)["versions"]
    assert (found["version"], found["asked_for"], found["story"]["run"]) == (2, True, "run1")


def test_show_a_version_that_no_store_knows(base):
    output = invoke("models", "show", "digits/1").output
    assert "No metadata store knows version 1: --in FILE names its pipeline." in output


def test_promote_and_roll_back(config, lineage, server, running):
    grpc = running()
    promoted = invoke("models", "promote", "digits", 2)
    assert promoted.output.splitlines() == [
        f"waiting until the server at {grpc} has version 2",
        "version 2 is AVAILABLE",
        "stable → version 2",
        f"Recorded in ML Metadata: execution 7 in {lineage.file}.",
    ]
    assert dict(server.entries[0].labels) == {"stable": 2}
    rolled_back = invoke("models", "rollback", "digits")
    assert rolled_back.exit_code == 0
    assert dict(server.entries[0].labels) == {"stable": 1}
    moves = [(move.kind, move.before, move.after) for move in read_moves(config, "digits")]
    assert moves == [("promote", 1, 2), ("rollback", 2, 1)]
    assert [change.after for change in label_changes(lineage.file, "digits")] == [2]
    shown = invoke("models", "show", "digits/2").output
    assert re.search(r"^  labels    \d{4}-\d\d-\d\d \d\d:\d\d:\d\d promote stable: 1 → 2$", shown, re.MULTILINE)


def test_show_tells_the_moves_away_from_a_version_too(base, lineage):
    lineage.push(1, Manifest.from_bytes((base / "1" / MANIFEST).read_bytes()).digest)
    invoke("models", "promote", "digits", 2)
    invoke("models", "rollback", "digits")
    for version in (1, 2):
        shown = invoke("models", "show", f"digits/{version}").output
        assert re.search(r"  labels .* promote stable: 1 → 2; .* rollback stable: 2 → 1$", shown, re.MULTILINE)


def test_a_version_in_an_object_store_is_found_by_where_it_was_pushed_to(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    entry = ModelEntry("m", "gs://b/m", policy=VersionPolicy("specific", versions=(1, 2)), labels={"stable": 1})
    ModelsFile(tmp_path / "models.config").update(lambda _entries: (entry,))
    lineage = Lineage(tmp_path / "metadata.sqlite")
    lineage.push(1, "d1", model_name="m", pushed_destination="gs://b/m/1")
    lineage.push(2, "d2", model_name="m", pushed_destination="gs://elsewhere/m/2")
    lineage.push(2, "d2", model_name="m", pushed_destination="gs://b/m/2")
    output = invoke("models", "promote", "m", 2).output
    assert "Recorded in ML Metadata: execution " in output
    (recorded,) = label_changes(lineage.file, "m")
    assert (recorded.before, recorded.after) == (1, 2)


def test_promote_without_a_server_and_a_store_says_so(config):
    output = invoke("models", "promote", "digits", 2).output
    assert output.splitlines()[1] == (
        "No server is known: an embedded server that polls the config (--model_config_file_poll_wait_seconds) loads "
        "the version and then moves the label by itself; a TensorFlow Serving that runs with it already refuses a "
        "label on a version that it has not loaded: name it (destination.tf_serving.grpc, or --grpc) to move labels "
        "safely."
    )
    assert output.endswith(NO_STORE)


def test_promote_as_json(config):
    answer = invoke("models", "promote", "digits", 2, "--json")
    found = json.loads(answer.stdout)
    assert (found["before"], found["after"], found["served"]) == (1, 2, False)
    assert answer.stderr == "stable → version 2\n"


def test_a_failed_promotion_is_recorded_too(config, lineage, server, running):
    running()
    server.states["digits", 2] = (State.END, Code.DATA_LOSS, "flipped")
    answer = invoke("models", "promote", "digits", 2)
    assert isinstance(answer.exception, EnvironmentProblem)
    (change,) = label_changes(lineage.file, "digits")
    assert "the server answered DATA_LOSS: flipped" in str(change.error)
    assert read_moves(config, "digits") == []


def test_promoting_what_is_there_already_makes_no_history(config):
    assert invoke("models", "promote", "digits", 1).exit_code == 0
    assert read_moves(config, "digits") == []


def test_a_new_label(config):
    answer = invoke("models", "promote", "digits", 2, "--label", "canary")
    assert "digits has no label 'canary'" in str(answer.exception)
    assert invoke("models", "promote", "digits", 2, "--label", "canary", "--create").exit_code == 0
    assert "canary → 2" in invoke("models", "list").output


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (["promote", "digits", "9"], "version 9 of digits is not there", 1),
        (["promote", "digit", "1"], "there is no model 'digit'", 2),
        (["rollback", "digits", "--label", "no"], "digits has no label 'no'", 2),
        (["rollback", "digits", "--to", "9"], "version 9 of digits is not there", 1),
        (["rollback", "digits"], "it is not known where 'stable' of digits pointed before version 1", 2),
        (["show", "digits/9"], "version 9 of digits is not there", 1),
        (["show", "digits/x"], "'digits/x' names no version", 2),
        (["promote", "digits@canary", "1"], "'digits@canary' names a version, and a model is wanted", 2),
        (["rollback", "digits/2"], "'digits/2' names a version, and a model is wanted", 2),
        (["prune", "digits@stable"], "'digits@stable' names a version, and a model is wanted", 2),
        (["show", "digits@no"], "digits has no label 'no'", 2),
        (["verify", "digits/9"], "version 9 of digits is not there", 1),
        (["promote", "digits", "2", "--grpc", "nowhere"], "'nowhere' is no gRPC address", 2),
        (["list", "nowhere"], "there is no such file or folder", 2),
    ],
)
def test_what_is_refused(config, arguments, message, code):
    before = config.read_text()
    answer = invoke("models", *arguments)
    assert isinstance(answer.exception, PenstockError)
    assert message in str(answer.exception)
    assert answer.exception.exit_code == code
    assert config.read_text() == before


def test_a_malformed_config(config):
    config.write_text("# Generated by Penstock;\nmodel_config_list { config { nme: 'x' } }")
    answer = invoke("models", "promote", "digits", 2)
    assert isinstance(answer.exception, ConfigError)
    assert "models.config is malformed" in str(answer.exception)


def test_an_error_as_json(config):
    answer = invoke("models", "promote", "digits", 9, "--json")
    assert answer.exit_code == 1
    assert json.loads(answer.stdout)["error"]["what"] == "version 9 of digits is not there"


def test_verify(base):
    answer = invoke("models", "verify")
    assert (answer.exit_code, answer.output) == (0, "✓ digits 2: as it was pushed\n✓ digits 1: as it was pushed\n")
    (base / "1" / "saved_model.pb").write_bytes(b"model 9")
    answer = invoke("models", "verify", "digits/1")
    assert (answer.exit_code, answer.output) == (1, "✗ digits 1: saved_model.pb has changed\n")
    assert json.loads(invoke("models", "verify", "--json").output)[1]["problem"] == "saved_model.pb has changed"


@pytest.mark.parametrize(
    "arguments", [["prune", "digits", "--keep", 1], ["promote", "digits", 4], ["rollback", "digits", "--to", 1]]
)
def test_nothing_is_changed_where_it_is_not_known_what_is_served(base, config, arguments):
    push(base, 3, 4, 5)
    config.unlink()
    answer = invoke("models", *arguments)
    assert "which versions of digits are served is not known here, so nothing is changed" in str(answer.exception)
    assert sorted(child.name for child in base.iterdir() if child.name.isdigit()) == ["1", "2", "3", "4", "5"]
    assert not config.exists()


def test_a_place_that_somebody_names_is_changed(base, config):
    config.unlink()
    assert invoke("models", "prune", "digits", "--keep", 1, "--in", base).output == "Removed version 1 of digits.\n"
    assert invoke("models", "promote", "digits", 2, "--in", base).exit_code == 0
    assert "stable → 2" in invoke("models", "list").output


@pytest.fixture
def elsewhere(tmp_path, base, config):
    """The config is not beside the base path; the base path names it."""
    config.unlink()
    push(base, 3, 4, 5, 6)
    other = configure(base, 1, 6, config=tmp_path / "deploy" / "tf.config", stable=1)
    point_to_config(base, other)
    return other


def test_the_config_that_the_base_path_names_is_the_one(base, config, elsewhere):
    answer = invoke("models", "prune", "digits", "--keep", 2)
    assert answer.output == "Removed version 2, version 3, version 4 of digits.\n"
    assert invoke("models", "promote", "digits", 6).exit_code == 0
    assert dict(ModelsFile(elsewhere).read()[0].labels) == {"stable": 6}
    assert not config.exists()


@pytest.mark.parametrize("json_", [(), ("--json",)])
def test_prune_where_the_base_path_is_gone(base, config, json_):
    shutil.rmtree(base)
    answer = invoke("models", "prune", "digits", *json_)
    if json_:
        assert json.loads(answer.stdout)["error"]["what"] == "the base path of digits is not there"
    else:
        assert isinstance(answer.exception, EnvironmentProblem)
        assert answer.exception.where == str(base)


def test_prune_keeps_what_the_server_has(base, config, server, running):
    push(base, 3, 4)
    configure(base, 4, stable=4)
    running()
    server.entries = (ModelEntry("digits", str(base), policy=VersionPolicy("specific", versions=(2, 4))),)
    assert invoke("models", "prune", "digits", "--keep", 1).output == "Removed version 1, version 3 of digits.\n"


def test_prune_waits_for_who_changes_the_config(base, config, monkeypatch):
    monkeypatch.setattr("penstock.pipelines.models.prune._LOCK_SECONDS", 0.1)
    push(base, 3)
    with changing(config, 1):
        answer = invoke("models", "prune", "digits", "--keep", 1)
    assert "has been changing the config for 0.1 s" in str(answer.exception)


def test_prune_counts_what_was_promoted_while_it_waited(base, config, monkeypatch):
    push(base, 3, 4)
    configure(base, 4, stable=4)

    @contextmanager
    def promoted_first(*_arguments):
        configure(base, 1, stable=1)
        yield

    monkeypatch.setattr("penstock.pipelines.models.prune.changing", promoted_first)
    assert invoke("models", "prune", "digits", "--keep", 1).output == "Removed version 2, version 3 of digits.\n"


def test_prune_keeps_what_is_asked_for_and_the_ways_back(base, config):
    push(base, 3, 4, 5)
    configure(base, 5, stable=2)
    invoke("models", "promote", "digits", 5)
    answer = invoke("models", "prune", "digits", "--keep", 1, "--dry-run")
    assert answer.output == "Would remove version 1, version 3, version 4 of digits.\n"
    assert invoke("models", "prune", "digits", "--keep", 2).output == "Removed version 1, version 3 of digits.\n"
    assert invoke("models", "prune", "digits", "--keep", 2).output == "Removed nothing of digits.\n"
    assert "versions 5, 4, 2" in invoke("models", "list").output
