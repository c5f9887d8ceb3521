import os
import socket
from pathlib import Path
from typing import Any

import pytest

from penstock.components.pusher.config import PusherConfig
from penstock.components.pusher.entry import Entry
from penstock.components.pusher.push import PushRequest, PushResult, push
from penstock.errors import ArtifactError, ConfigError, EnvironmentProblem
from penstock.reporting import reporting_to
from penstock.serving.batching_config import BatchingOptions, parse_batching
from penstock.serving.manifest import MANIFEST, Manifest, verify
from penstock.serving.model_config import ModelEntry, ModelsFile, VersionPolicy
from penstock.serving.places import pointed_config
from penstock.serving.versions import versions
from tests.recorder import Recorder

pytestmark = pytest.mark.usefixtures("gate")


def _config(base: Path, **values: Any) -> PusherConfig:
    return PusherConfig.model_validate({"destination": {"directory": str(base)}, **values})


@pytest.mark.parametrize(
    ("model_blessed", "infra_blessed", "reason"),
    [
        (None, None, "no blessing asked for, published as version 1"),
        (True, None, "blessed by the Evaluator, published as version 1"),
        (None, True, "blessed by the InfraValidator, published as version 1"),
        (True, True, "blessed by the Evaluator and the InfraValidator, published as version 1"),
    ],
)
def test_a_push_says_on_whose_word(
    *, model: Path, base: Path, model_blessed: bool | None, infra_blessed: bool | None, reason: str
):
    result = push(PushRequest(model, _config(base), model_blessed=model_blessed, infra_blessed=infra_blessed))
    assert (result.pushed, result.reason) == (True, reason)
    assert (result.version, result.path) == (1, str(base / "1"))
    assert result.digest is not None
    assert len(result.digest) == 64
    verify(base / "1")


@pytest.mark.parametrize(
    ("model_blessed", "infra_blessed", "reason"),
    [
        (False, None, "not blessed by the Evaluator"),
        (False, True, "not blessed by the Evaluator"),
        (True, False, "not blessed by the InfraValidator"),
    ],
)
def test_what_is_not_blessed_is_not_pushed(
    *, model: Path, base: Path, model_blessed: bool | None, infra_blessed: bool | None, reason: str
):
    result = push(PushRequest(model, _config(base), model_blessed=model_blessed, infra_blessed=infra_blessed))
    assert result == PushResult(pushed=False, reason=reason)
    assert not base.exists()


@pytest.mark.parametrize(
    ("model_blessed", "received"),
    [
        (False, "not blessed by the Evaluator"),
        (None, "no Evaluator and no InfraValidator judged the model"),
    ],
)
def test_a_required_blessing_that_is_missing_is_an_error(
    *, model: Path, base: Path, model_blessed: bool | None, received: str
):
    with pytest.raises(ArtifactError) as caught:
        push(PushRequest(model, _config(base, require_blessing=True), model_blessed=model_blessed))
    assert str(caught.value) == (
        "the model may not be pushed\n"
        f"  received: {received}\n"
        "  expected: a blessed model, because `require_blessing` is true\n"
        "  next: look at the Evaluator's metrics and thresholds, or set `require_blessing: false`"
    )
    assert not base.exists()


def test_a_required_blessing_that_is_there_pushes(model: Path, base: Path):
    assert push(PushRequest(model, _config(base, require_blessing=True), model_blessed=True)).pushed


def test_the_staged_copy_is_asked_before_it_has_a_number(model: Path, base: Path, gate: list[Path]):
    push(PushRequest(model, _config(base)))
    (asked,) = gate
    assert asked.parent.parent == base
    assert asked.parent.name.startswith(".staging-")


def test_what_does_not_pass_the_gate_is_not_published(model: Path, base: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(staged: Path, timeout: float) -> None:
        assert timeout == 30
        assert (staged / "saved_model.pb").is_file()
        raise ArtifactError("it cannot answer")

    monkeypatch.setattr("penstock.components.pusher.push.pass_gate", refuse)
    with pytest.raises(ArtifactError, match=r"^it cannot answer$"):
        push(PushRequest(model, _config(base, gate_timeout="30s", model_name="digits")))
    assert list(base.iterdir()) == []
    assert not (base.parent / "models.config").exists()


def test_nothing_but_the_version_is_written_where_nothing_else_is_asked(model: Path, base: Path):
    result = push(PushRequest(model, _config(base)))
    assert result.labels == {}
    assert [child.name for child in base.parent.iterdir()] == ["digits"]
    assert sorted(child.name for child in base.iterdir()) == [".penstock-versions", "1"]


def test_labels_and_the_config_follow_the_versions(model: Path, base: Path):
    config = _config(base, labels={"stable": "keep", "canary": "this"})
    assert push(PushRequest(model, config)).labels == {"canary": 1, "stable": 1}
    assert push(PushRequest(model, config)).labels == {"canary": 2, "stable": 1}
    assert push(PushRequest(model, config)).labels == {"canary": 3, "stable": 1}
    # Nobody said that a server has the label at version 3 yet, so version 2 stays with it.
    assert ModelsFile(base.parent / "models.config").read() == (
        ModelEntry(
            "digits",
            str(base),
            policy=VersionPolicy("specific", versions=(1, 2, 3)),
            labels={"canary": 3, "stable": 1},
        ),
    )


def test_a_model_with_a_name_and_no_labels_serves_its_newest_version(model: Path, base: Path):
    push(PushRequest(model, _config(base, model_name="mnist")))
    assert ModelsFile(base.parent / "models.config").read() == (ModelEntry("mnist", str(base)),)


def test_a_label_on_a_version_that_is_not_there_publishes_nothing(model: Path, base: Path):
    with pytest.raises(ArtifactError, match="label 'stable' names version 7, which is not there"):
        push(PushRequest(model, _config(base, labels={"stable": 7})))
    assert not base.exists()
    assert push(PushRequest(model, _config(base, labels={"stable": 7}, version=7))).labels == {"stable": 7}


def test_old_versions_go_but_not_those_with_a_label(model: Path, base: Path):
    config = _config(base, labels={"stable": "keep", "canary": "this"}, keep_versions=1)
    results = [push(PushRequest(model, config)) for _ in range(5)]
    assert [result.removed for result in results] == [(), (), (), (2,), (3,)]
    assert sorted(versions(base)) == [1, 4, 5]


def test_the_new_version_stays_also_when_it_is_not_the_newest(model: Path, base: Path):
    push(PushRequest(model, _config(base, version=5)))
    push(PushRequest(model, _config(base, version=3, keep_versions=1)))
    assert sorted(versions(base)) == [3, 5]


def test_batching_parameters_lie_in_the_version(model: Path, base: Path):
    batching = {"max_batch_size": 64, "batch_timeout_micros": 2000}
    push(PushRequest(model, _config(base, batching=batching)))
    text = (base / "1/batching_params.pbtxt").read_text()
    assert parse_batching(text) == BatchingOptions(max_batch_size=64, batch_timeout_micros=2000)
    verify(base / "1")


def test_warm_up_without_rows_is_an_error(model: Path, base: Path):
    with pytest.raises(ConfigError) as caught:
        push(PushRequest(model, _config(base, warmup={})))
    assert str(caught.value) == (
        "there are no rows to make warm-up requests of\n"
        "  received: `warmup` without an input `examples`\n"
        "  expected: raw examples\n"
        "  next: wire examples: <step>.examples, or leave `warmup` out"
    )


def test_a_config_that_is_not_ours_is_left_alone_and_nothing_is_published(model: Path, base: Path):
    base.parent.mkdir()
    file = base.parent / "models.config"
    file.write_text('model_config_list { config { name: "mine" base_path: "/m" model_platform: "tensorflow" } }')
    before = file.read_text()
    with pytest.raises(EnvironmentProblem, match="was not written by Penstock and is left as it is"):
        push(PushRequest(model, _config(base, model_name="digits")))
    assert file.read_text() == before
    assert not base.exists()
    assert push(PushRequest(model, _config(base))).pushed


def test_the_name_of_another_model_is_refused(model: Path, base: Path):
    push(PushRequest(model, _config(base, model_name="digits")))
    with pytest.raises(ConfigError) as caught:
        push(PushRequest(model, _config(base.with_name("other"), model_name="digits")))
    assert str(caught.value) == (
        f"model 'digits' is another one: {base.parent}/models.config serves it from another base path\n"
        f"  received: {base.with_name('other')}\n"
        f"  expected: {base}\n"
        "  next: choose another `model_name`, or another `destination.config`"
    )
    assert not base.with_name("other").exists()


def test_models_share_a_config(model: Path, base: Path):
    push(PushRequest(model, _config(base, model_name="digits")))
    push(PushRequest(model, _config(base.with_name("wine"), labels={"stable": "this"})))
    names = [entry.name for entry in ModelsFile(base.parent / "models.config").read()]
    assert names == ["digits", "wine"]


def test_without_a_server_there_is_nothing_to_wait_for(model: Path, base: Path):
    told = Recorder()
    with reporting_to(told):
        pushed = push(PushRequest(model, _config(base, model_name="digits", wait_until_available="5s")))
    assert pushed.version == 1
    assert f"no server that is known runs with {base.parent}/models.config: there is nothing to wait for" in told.notes


def test_labels_that_move_without_a_server_are_told(model: Path, base: Path):
    told = Recorder()
    config = _config(base, labels={"stable": "this"})
    with reporting_to(told):
        push(PushRequest(model, config))
        assert not any("no server is known" in line for line in told.notes)
        push(PushRequest(model, config))
    (note,) = (line for line in told.notes if line.startswith("no server"))
    assert note == (
        "no server is known: a TensorFlow Serving that runs with this config already refuses a label on a version that "
        "it has not loaded; name it (destination.tf_serving.grpc, or --grpc) to move labels safely"
    )


def test_a_version_that_a_config_beside_names_is_kept(model: Path, base: Path):
    push(PushRequest(model, _config(base, labels={"stable": "this"})))
    for _ in range(3):
        last = push(PushRequest(model, _config(base, keep_versions=1)))
    assert last.removed == (3,)
    assert sorted(child.name for child in base.iterdir() if child.name.isdigit()) == ["1", "4"]


def test_a_label_that_a_command_moved_keeps_its_version(model: Path, base: Path):
    """A step without labels and without a name knows no config; the one that a promotion wrote counts all the same."""
    push(PushRequest(model, _config(base)))
    push(PushRequest(model, _config(base)))
    entry = ModelEntry("digits", str(base), policy=VersionPolicy("specific", versions=(1,)), labels={"stable": 1})
    ModelsFile(base.parent / "models.config").update(lambda _: (entry,))
    assert push(PushRequest(model, _config(base, keep_versions=1))).removed == (2,)
    assert sorted(versions(base)) == [1, 3]


def test_the_base_path_names_a_config_that_lies_elsewhere(model: Path, base: Path, tmp_path: Path):
    elsewhere = tmp_path / "deploy" / "tf.config"
    destination = {"directory": str(base), "config": str(elsewhere)}
    push(PushRequest(model, _config(base, destination=destination, labels={"stable": "this"})))
    assert pointed_config(base) == elsewhere
    for _ in range(2):
        last = push(PushRequest(model, _config(base, keep_versions=1)))
    assert last.removed == (2,)
    assert sorted(versions(base)) == [1, 3]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_base_path_without_permission_publishes_nothing(model: Path, base: Path):
    base.mkdir(parents=True)
    base.chmod(0o555)
    try:
        with pytest.raises(EnvironmentProblem, match="the model could not be pushed: Permission denied") as caught:
            push(PushRequest(model, _config(base)))
    finally:
        base.chmod(0o755)
    assert "check the owner and the permissions of " in (caught.value.hint or "")
    assert list(base.iterdir()) == []


def test_a_version_that_is_not_in_service_is_named_with_its_digest(
    model: Path, base: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(self: Entry, entry: ModelEntry | None) -> None:
        raise EnvironmentProblem("the disk is full", hint="free some space")

    monkeypatch.setattr(Entry, "write", refuse)
    with pytest.raises(EnvironmentProblem) as caught:
        push(PushRequest(model, _config(base, labels={"stable": "this"})))
    digest = Manifest.from_bytes((base / "1" / MANIFEST).read_bytes()).digest
    assert caught.value.what == "version 1 of digits is published, but not in service: the disk is full"
    assert caught.value.received == f"{base}/1, digest {digest}"


def test_a_server_that_cannot_be_reached_publishes_nothing(model: Path, base: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # Bound and not listening: every connection is refused.
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        destination = {"tf_serving": {"base_path": str(base), "grpc": address}}
        with pytest.raises(EnvironmentProblem) as caught:
            push(PushRequest(model, _config(base, destination=destination)))
    assert address in str(caught.value)
    assert not base.exists()


def test_a_config_that_cannot_be_written_publishes_nothing(model: Path, base: Path, tmp_path: Path):
    (tmp_path / "file").touch()
    destination = {"directory": str(base), "config": str(tmp_path / "file" / "models.config")}
    with pytest.raises(EnvironmentProblem, match=r"models\.config cannot be written: (File exists|Not a directory)"):
        push(PushRequest(model, _config(base, destination=destination)))
    assert not base.exists()
