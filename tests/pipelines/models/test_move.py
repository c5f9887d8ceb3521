"""The safe order: whatever fails, what was served is served on."""

import errno

import pytest

from penstock.errors import ArtifactError, ConfigError, EnvironmentProblem
from penstock.pipelines.models.find import find_model
from penstock.pipelines.models.live import live
from penstock.pipelines.models.move import check_label, move_label, version_to_go_back_to
from penstock.serving.errors import Code, ServingError
from penstock.serving.label_history import moved, record_move
from penstock.serving.model_config import ModelEntry, ModelsFile, VersionPolicy
from penstock.serving.models.state import State
from penstock.serving.running import running_server
from tests.pipelines.models.pushed import configure, push


def move(version, label="stable", *, grpc=None, timeout=120.0, where=()):
    said: list[str] = []
    with live(find_model("digits", where), grpc) as place:
        return move_label(place, version, label, timeout=timeout, say=said.append), said


def digits(config):
    (entry,) = [entry for entry in ModelsFile(config).read() if entry.name == "digits"]
    return entry.policy.versions, dict(entry.labels)


def steps(server):
    return [(entry.policy.versions, dict(entry.labels)) for (entry, *_) in server.configs]


def test_the_label_follows_only_when_the_version_answers(base, config, server, running):
    push(base, 3)
    running()
    done, said = move(3)
    assert steps(server) == [
        ((1, 2, 3), {"stable": 1}),
        ((1, 2, 3), {"stable": 3}),
        ((3,), {"stable": 3}),
    ]
    assert server.calls.index("GetModelStatus") == 1
    assert (done.before, done.after, done.served, done.remaining, done.problem) == (1, 3, True, (3,), None)
    assert digits(config) == ((3,), {"stable": 3})
    assert said[1:] == ["version 3 is AVAILABLE", "stable → version 3"]


def test_the_labelled_versions_stay_and_no_others(base, config, running):
    push(base, 3)
    configure(base, 1, 2, 3, stable=1, canary=3)
    running()
    assert move(2)[0].remaining == (2, 3)


def test_going_back_ends_the_newer_version_that_no_label_names(base, config, server, running):
    configure(base, 2, stable=2)
    running()
    server.entries = ModelsFile(config).read()
    assert move(1)[0].remaining == (1,)
    assert steps(server) == [((1, 2), {"stable": 2}), ((1, 2), {"stable": 1}), ((1,), {"stable": 1})]


def test_a_version_that_fails_to_load_moves_nothing(config, server, running):
    running()
    server.states["digits", 2] = (State.END, Code.DATA_LOSS, "saved_model.pb has changed")
    before = config.read_text()
    with pytest.raises(EnvironmentProblem) as raised:
        move(2)
    assert raised.value.what == (
        "'stable' of digits was not moved to version 2: the server answered DATA_LOSS: saved_model.pb has changed"
    )
    assert raised.value.hint == "'stable' still points to version 1, and what was served is served on"
    assert config.read_text() == before
    assert dict(server.entries[0].labels) == {"stable": 1}


def test_a_version_that_never_becomes_available_moves_nothing(base, config, server, running):
    push(base, 3)
    running()
    server.states["digits", 3] = (State.LOADING, Code.OK, "")
    before = config.read_text()
    with pytest.raises(EnvironmentProblem, match="version 3 of digits is not AVAILABLE after 0 s"):
        move(3, timeout=0)
    assert config.read_text() == before
    assert steps(server)[-1] == ((1, 2), {"stable": 1})


def test_a_label_that_the_server_refuses_is_taken_back(config, server, running):
    running()
    server.refuse = lambda entries: "no label for it" if entries[0].labels != {"stable": 1} else None
    before = config.read_text()
    with pytest.raises(EnvironmentProblem, match="the server answered FAILED_PRECONDITION: no label for it"):
        move(2)
    assert config.read_text() == before


def test_a_server_that_is_gone_leaves_the_file_as_it_was(config, running, server):
    before = config.read_text()
    with server.running() as grpc:
        pass
    with pytest.raises(EnvironmentProblem, match=f"was not moved to version 2: no server can be reached at {grpc}"):
        move(2, grpc=grpc)
    assert config.read_text() == before


def test_what_cannot_be_taken_back_is_told(config, server, running):
    running()
    server.states["digits", 2] = (State.END, Code.INTERNAL, "out of memory")
    server.failures["HandleReloadConfigRequest"] = []
    refused = iter([None, "no", "no"])
    server.refuse = lambda entries: next(refused)
    with pytest.raises(EnvironmentProblem) as raised:
        move(2)
    assert "could not be taken back" in raised.value.what
    assert "out of memory" in str(raised.value.received)


def test_a_failure_after_the_label_has_moved_is_told_and_kept(config, server, running):
    running()
    server.refuse = lambda entries: "busy" if entries[0].policy.versions == (2,) else None
    done, _ = move(2)
    assert str(done.problem).startswith("the label has moved, but versions that nobody asks for still stand")
    assert dict(server.entries[0].labels) == {"stable": 2}


def test_the_other_models_of_the_server_stay_in_its_config(tmp_path, base, config, server, running):
    other = configure(tmp_path / "more" / "wine", 1)
    push(tmp_path / "more" / "wine", 1)
    running(config, other)
    move(2)
    assert {tuple(entry.name for entry in entries) for entries in server.configs} == {("digits", "wine")}


def test_without_a_server_the_final_config_is_written_at_once(config):
    done, said = move(2)
    assert (done.served, done.remaining) == (False, (2,))
    assert digits(config) == ((2,), {"stable": 2})
    assert said == ["stable → version 2"]


def test_a_model_without_a_config_gets_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    push(tmp_path / "digits", 1, 2)
    move(1)
    assert digits(tmp_path / "models.config") == ((1,), {"stable": 1})


def test_the_plain_models_of_the_server_stay_too(tmp_path, config, server, running):
    running(plain=[ModelEntry("wine", str(tmp_path / "plain" / "wine"))])
    move(2)
    assert {tuple(entry.name for entry in entries) for entries in server.configs} == {("digits", "wine")}


@pytest.mark.parametrize(
    ("entries", "received"),
    [
        ([ModelEntry("wine", "/wine")], "no version of digits"),
        ([ModelEntry("digits", "/else", policy=VersionPolicy("specific", versions=(7, 8)))], "version 7, 8 of digits"),
    ],
)
def test_a_server_that_runs_with_another_config_is_left_alone(config, server, entries, received):
    server.entries = tuple(entries)
    before = config.read_text()
    with server.running() as grpc, pytest.raises(EnvironmentProblem) as raised:
        move(2, grpc=grpc)
    assert f"the server at {grpc} does not run with {config}" in raised.value.what
    assert (raised.value.received, raised.value.expected) == (received, "version 1, 2 of digits")
    assert (server.configs, config.read_text()) == ([], before)


def test_a_named_server_that_runs_with_the_config(config, server):
    with server.running() as grpc:
        done, _ = move(2, grpc=grpc)
    assert (done.served, dict(server.entries[0].labels)) == (True, {"stable": 2})


def test_a_version_that_is_not_there(config):
    with pytest.raises(ArtifactError, match="version 9 of digits is not there") as raised:
        move(9)
    assert raised.value.expected == "one of 2, 1"


def test_a_version_that_is_not_what_was_pushed(base, config):
    (base / "2" / "saved_model.pb").write_bytes(b"model 3")
    with pytest.raises(ArtifactError, match="is not what was pushed"):
        move(2)
    assert digits(config) == ((1, 2), {"stable": 1})


def test_a_version_that_cannot_be_read(config, monkeypatch):
    def unreadable(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path / "saved_model.pb"))

    monkeypatch.setattr("penstock.pipelines.models.move.verify", unreadable)
    with pytest.raises(EnvironmentProblem, match="version 2 of digits cannot be read: Permission denied") as raised:
        move(2)
    assert str(raised.value.where).endswith("digits/2/saved_model.pb")


def test_labels_are_checked_against_those_that_are_there(config):
    model = find_model("digits")
    check_label(model, "stable", create=False)
    check_label(model, "canary", create=True)
    with pytest.raises(ConfigError, match="digits has no label 'stabel'") as raised:
        check_label(model, "stabel", create=False)
    assert raised.value.hint == "did you mean 'stable'?"


@pytest.mark.parametrize("label", ["", "a/b", "..", "a b", "a:predict", "é"])
def test_what_is_no_label(config, label):
    with pytest.raises(ConfigError, match="is no label"):
        check_label(find_model("digits"), label, create=True)


def test_the_way_back(base, config):
    configure(base, 1, 2, stable=1, canary=2)
    model = find_model("digits")
    with pytest.raises(ConfigError, match="not known where 'stable' of digits pointed before version 1") as raised:
        version_to_go_back_to(model, "stable")
    assert (raised.value.received, raised.value.hint) == (
        "no recorded move of it",
        "name the version: penstock models rollback digits --to VERSION",
    )
    assert version_to_go_back_to(model, "stable", 7) == 7
    record_move(config, moved("digits", "stable", 2, 1, "promote"))
    assert version_to_go_back_to(model, "stable") == 2


def test_no_way_back_for_a_label_that_never_moved(base, config):
    configure(base, 1, 2, stable=1, canary=2)
    record_move(config, moved("digits", "canary", None, 2, "push"))
    with pytest.raises(ConfigError, match="'canary' of digits has never pointed elsewhere than to ") as raised:
        version_to_go_back_to(find_model("digits"), "canary")
    assert raised.value.received is None
    assert str(raised.value.hint).endswith("rollback digits --to VERSION --label canary")


def test_no_way_back_for_a_label_that_is_not_there(config):
    with pytest.raises(ConfigError, match="digits has no label 'prod'") as raised:
        version_to_go_back_to(find_model("digits"), "prod", 1)
    assert raised.value.hint == "promote a version first"


def test_a_server_that_has_ended_is_no_server(config, server, running):
    running()
    record = config.with_name("models.config.server")
    record.write_text(record.read_text().replace('"started": ', '"started": 1'))
    assert running_server(config) is None


def test_a_record_that_is_no_record(config):
    config.with_name("models.config.server").write_text("{}")
    with pytest.raises(EnvironmentProblem, match="the record of the running server cannot be read"):
        running_server(config)


def test_a_refusal_of_the_server_is_told_as_its_own(server, running, config):
    running()
    server.failures["HandleReloadConfigRequest"] = [ServingError(Code.INTERNAL, "x")]
    with pytest.raises(EnvironmentProblem, match="the server answered INTERNAL: x"):
        move(2)


def remote(config, kind, *versions):
    entry = ModelEntry("digits", "gs://bucket/digits", policy=VersionPolicy(kind, 1, versions), labels={"stable": 1})
    ModelsFile(config).update(lambda _entries: (entry,))


def test_an_object_store_whose_versions_the_config_names(running, server, config):
    remote(config, "specific", 1, 2)
    server.entries = ModelsFile(config).read()
    running()
    assert move(2, where=[config])[0].remaining == (2,)


def test_an_object_store_whose_versions_nobody_names(config):
    remote(config, "latest")
    with pytest.raises(ConfigError, match="which versions of digits are served cannot be known from here"):
        move(2, where=[config])
