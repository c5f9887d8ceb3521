from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from penstock.components.pusher.blessing import Verdicts
from penstock.components.pusher.config import PusherConfig
from penstock.components.pusher.flatbuffer_gate import FlatbufferReport
from penstock.components.pusher.flatbuffers import Flatbuffer
from penstock.components.pusher.push import PushRequest, PushResult, push
from penstock.components.pusher.push_flatbuffers import FlatbufferRequest, push_flatbuffers
from penstock.errors import ArtifactError, ConfigError, EnvironmentProblem
from penstock.reporting import reporting_to
from penstock.serving.manifest import MANIFEST, Manifest, verify
from penstock.serving.versions import versions
from tests.recorder import Recorder

Flatbuffers = tuple[Flatbuffer, ...]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Let every flatbuffer through the gate, without a process; return what was asked."""
    found: list[Path] = []

    def pass_gate(version: Path, timeout: float) -> FlatbufferReport:
        found.append(version)
        return FlatbufferReport({})

    monkeypatch.setattr("penstock.components.pusher.push_flatbuffers.pass_flatbuffer_gate", pass_gate)
    return found


def pushed(flatbuffers: Flatbuffers, base: Path, verdicts: Verdicts = Verdicts(), **values: Any) -> PushResult:  # noqa: B008  Frozen.
    config = PusherConfig.model_validate({"destination": {"tflite_directory": str(base)}, **values})
    return push_flatbuffers(FlatbufferRequest(flatbuffers, config, verdicts))


def not_blessed(flatbuffer: Flatbuffer, reason: str = "accuracy drops by 0.03, more than 0.01") -> Flatbuffer:
    return replace(flatbuffer, blessed=False, reason=reason)


@pytest.mark.usefixtures("asked")
class TestPushed:
    def test_every_mode_that_is_blessed(self, flatbuffers: Flatbuffers, base: Path):
        result = pushed(flatbuffers, base, Verdicts(model=True))
        manifest = Manifest.from_bytes((base / "1" / MANIFEST).read_bytes())
        assert result == PushResult(
            pushed=True,
            reason="blessed by the Evaluator and the TFLiteConverter, published as version 1: float32, int8",
            version=1,
            path=str(base / "1"),
            digest=manifest.digest,
            modes=("float32", "int8"),
        )
        assert sorted(manifest.files) == [
            "float32/model.tflite",
            "float32/report.json",
            "int8/model.tflite",
            "int8/report.json",
        ]
        assert (base / "1" / "int8" / "model.tflite").read_bytes() == b"int8" * 1000
        verify(base / "1")

    def test_no_other(self, flatbuffers: Flatbuffers, base: Path):
        float32, int8 = flatbuffers
        result = pushed((not_blessed(float32), int8), base)
        assert result.reason == (
            "blessed by the TFLiteConverter, published as version 1: int8; "
            "left out: float32: accuracy drops by 0.03, more than 0.01"
        )
        assert result.modes == ("int8",)
        assert sorted(path.name for path in (base / "1").iterdir()) == ["assets.extra", "int8"]

    def test_numbers_are_never_used_again(self, flatbuffers: Flatbuffers, base: Path):
        found = [pushed(flatbuffers, base, keep_versions=1) for _ in range(3)]
        assert [(result.version, result.removed) for result in found] == [(1, ()), (2, (1,)), (3, (2,))]
        assert list(versions(base)) == [3]
        with pytest.raises(ArtifactError, match="version 2 exists and is never overwritten"):
            pushed(flatbuffers, base, version=2)
        assert pushed(flatbuffers, base, version=7).version == 7

    def test_a_digest_that_fits(self, flatbuffers: Flatbuffers, base: Path):
        measured = [replace(one, digest=hashlib.sha256(one.mode.encode() * 1000).hexdigest()) for one in flatbuffers]
        assert pushed(tuple(measured), base).pushed


class TestNotPushed:
    def test_what_is_not_blessed(self, flatbuffers: Flatbuffers, base: Path, asked: list[Path]):
        float32, int8 = flatbuffers
        result = pushed((not_blessed(float32, "3.2 MB are more than 200 kB"), not_blessed(int8)), base)
        assert result == PushResult(
            pushed=False,
            reason="no mode is blessed: float32: 3.2 MB are more than 200 kB; "
            "int8: accuracy drops by 0.03, more than 0.01",
        )
        assert pushed((), base).reason == "there is no flatbuffer"
        assert (base.exists(), asked) == (False, [])

    @pytest.mark.parametrize(
        ("verdicts", "reason"),
        [
            (Verdicts(model=False), "not blessed by the Evaluator"),
            (Verdicts(model=True, infra=False), "not blessed by the InfraValidator"),
        ],
    )
    def test_a_model_that_is_not_blessed(
        self, flatbuffers: Flatbuffers, base: Path, asked: list[Path], verdicts: Verdicts, reason: str
    ):
        assert pushed(flatbuffers, base, verdicts) == PushResult(pushed=False, reason=reason)
        with pytest.raises(ArtifactError) as caught:
            pushed(flatbuffers, base, verdicts, require_blessing=True)
        assert caught.value.received == reason
        assert (base.exists(), asked) == (False, [])

    def test_another_file_than_the_one_that_was_measured(self, flatbuffers: Flatbuffers, base: Path):
        float32, int8 = flatbuffers
        digest = hashlib.sha256(b"int8" * 1000).hexdigest()
        with pytest.raises(ArtifactError) as caught:
            pushed((float32, replace(int8, digest="0" * 64)), base)
        assert str(caught.value) == (
            f"{int8.folder}/model.tflite: the flatbuffer of mode 'int8' is not the one that was blessed\n"
            f"  received: SHA-256 {digest}\n"
            f"  expected: SHA-256 {'0' * 64}, as it was measured\n"
            "  next: run the step that converts again without cache"
        )
        assert list(base.iterdir()) == []

    def test_a_truncated_flatbuffer(self, flatbuffers: Flatbuffers, flatbuffer: bytes, base: Path):
        float32, int8 = flatbuffers
        (float32.folder / "model.tflite").write_bytes(flatbuffer)
        recorder = Recorder()
        with reporting_to(recorder):
            assert pushed((float32,), base).version == 1
        assert recorder.notes == [
            "predict gate: the LiteRT interpreter answered in a clean process: float32 (double, half)"
        ]
        (int8.folder / "model.tflite").write_bytes(flatbuffer[: len(flatbuffer) // 2])
        with pytest.raises(ArtifactError, match="the flatbuffer did not pass the predict gate: The model is not a "):
            pushed((float32, int8), base)
        assert sorted(child.name for child in base.iterdir()) == [".penstock-versions", "1"]

    def test_a_mode_without_its_file(self, flatbuffers: Flatbuffers, base: Path):
        (flatbuffers[0].folder / "model.tflite").unlink()
        with pytest.raises(ArtifactError) as caught:
            pushed(flatbuffers, base)
        assert str(caught.value) == (
            f"{flatbuffers[0].folder}: the conversion of mode 'float32' has no flatbuffer\n"
            "  expected: model.tflite\n"
            "  next: run the step that converts again without cache"
        )

    @pytest.mark.parametrize("mode", ["float32", "../int8", ""])
    def test_a_mode_that_names_no_folder_of_its_own(self, flatbuffers: Flatbuffers, base: Path, mode: str):
        float32, int8 = flatbuffers
        with pytest.raises(ArtifactError) as caught:
            pushed((float32, replace(int8, mode=mode)), base)
        assert str(caught.value) == (
            "the modes of the flatbuffers do not name folders of a version\n"
            f"  received: 'float32', {mode!r}\n"
            "  expected: a name of its own for each\n"
            "  next: wire `tflite_model` to one step that converts"
        )

    def test_a_folder_that_is_a_file(self, flatbuffers: Flatbuffers, tmp_path: Path):
        (tmp_path / "file").touch()
        with pytest.raises(EnvironmentProblem, match=f"the destination {tmp_path / 'file'} is a file"):
            pushed(flatbuffers, tmp_path / "file")


@pytest.mark.usefixtures("asked", "gate")
def test_a_base_path_holds_models_of_one_kind(flatbuffers: Flatbuffers, model: Path, base: Path, tmp_path: Path):
    other = tmp_path / "tflite"
    saved = PusherConfig.model_validate({"destination": {"directory": str(base)}})
    push(PushRequest(model, saved))
    pushed(flatbuffers, other)
    with pytest.raises(ConfigError) as caught:
        pushed(flatbuffers, base)
    assert str(caught.value) == (
        f"{base}: the destination holds versions of another kind: SavedModels\n"
        "  received: flatbuffers to push beside version 1\n"
        "  expected: a base path of flatbuffers alone\n"
        "  next: choose another folder"
    )
    elsewhere = PusherConfig.model_validate({"destination": {"directory": str(other)}})
    with pytest.raises(ConfigError, match="the destination holds versions of another kind: flatbuffers"):
        push(PushRequest(model, elsewhere))
