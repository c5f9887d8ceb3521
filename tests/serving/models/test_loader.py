from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from penstock.serving.errors import Code, ServingError
from penstock.serving.manifest import MANIFEST
from penstock.serving.model_config import ModelEntry
from penstock.serving.models.loader import DamagedModelError, load_servable
from penstock.serving.models.manager import ManagerOptions, ModelManager
from penstock.serving.models.state import State, VersionStatus
from tests.serving.models.fakes import PATIENCE, wait_for

X = {"x": np.array([[1.0, 1.0]], np.float32)}


def _flip(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 1
    path.write_bytes(data)


def test_a_published_model_loads(model: Path, publish: Callable[[Path], None], caplog: pytest.LogCaptureFixture):
    publish(model)
    servable = load_servable("m", 1, model)
    # Nothing that TensorFlow would rather see used: nobody who reads the log can change it.
    assert [record.getMessage() for record in caplog.records if record.levelno > logging.INFO] == []
    assert servable.run("serving_default", X)["y"].tolist() == [[3.0]]
    servable.close()


@pytest.mark.parametrize("name", ["saved_model.pb", "variables/variables.index", "fingerprint.pb"])
def test_one_flipped_bit_is_refused(model: Path, publish: Callable[[Path], None], name: str):
    publish(model)
    _flip(model / name, -1)
    with pytest.raises(DamagedModelError) as caught:
        load_servable("m", 1, model)
    assert caught.value.code is Code.DATA_LOSS
    assert caught.value.message == f"{model} is not what was pushed: {name} has changed"


def test_a_damaged_manifest_is_refused(model: Path, publish: Callable[[Path], None]):
    publish(model)
    _flip(model / MANIFEST, 40)
    with pytest.raises(DamagedModelError, match="has no usable manifest: "):
        load_servable("m", 1, model)


def test_a_folder_without_a_model(tmp_path: Path):
    with pytest.raises(ServingError) as caught:
        load_servable("m", 1, tmp_path)
    assert (caught.value.code, caught.value.message) == (
        Code.NOT_FOUND,
        f"Could not find SavedModel .pb or .pbtxt at supplied export directory path: {tmp_path}",
    )


def test_a_model_that_is_not_for_serving(tmp_path: Path):
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel()
    saved.meta_graphs.add().meta_info_def.tags.append("train")
    (tmp_path / "saved_model.pb").write_bytes(saved.SerializeToString())
    with pytest.raises(ServingError) as caught:
        load_servable("m", 1, tmp_path)
    assert (caught.value.code, caught.value.message) == (
        Code.NOT_FOUND,
        f"Could not find meta graph def matching supplied tags: {{ serve }} in {tmp_path}",
    )


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("saved_model.pb", b"\x0a\xff\xff", Code.DATA_LOSS),
        ("variables/variables.index", None, Code.DATA_LOSS),
        ("variables/variables.index", b"nonsense", Code.DATA_LOSS),
    ],
)
def test_a_model_without_manifest_that_is_damaged_may_be_incomplete(
    model: Path, name: str, content: bytes | None, code: Code
):
    if content is None:
        (model / name).unlink()
    else:
        (model / name).write_bytes(content)
    with pytest.raises(ServingError) as caught:
        load_servable("m", 1, model)
    assert caught.value.code is code
    assert caught.value.message.startswith(f"{model} cannot be loaded: ")
    assert not isinstance(caught.value, DamagedModelError)


class TestInAManager:
    """The loader and the manager together, on real models."""

    @pytest.fixture
    def manager(self, model: Path, publish: Callable[[Path], None]) -> Iterator[ModelManager]:
        publish(model)
        manager = ModelManager(ManagerOptions(poll_seconds=0, load_retries=0))
        manager.reload([ModelEntry("m", str(model.parent))])
        yield manager
        manager.close(PATIENCE)

    def test_a_damaged_version_ends_and_the_old_one_keeps_serving(self, manager: ModelManager, model: Path):
        damaged = shutil.copytree(model, model.parent / ".staging")
        _flip(damaged / "variables/variables.data-00000-of-00001", 0)
        damaged.rename(model.parent / "2")
        manager.poll()
        wait_for(manager, "m", v2="END")
        name = "variables/variables.data-00000-of-00001"
        assert manager.status("m") == [
            VersionStatus(2, State.END, Code.DATA_LOSS, f"{model.parent}/2 is not what was pushed: {name} has changed"),
            VersionStatus(1, State.AVAILABLE),
        ]
        with manager.use("m") as servable:
            assert servable.version == 1
            assert servable.run("serving_default", X)["y"].tolist() == [[3.0]]

    def test_a_version_is_replaced(self, manager: ModelManager, model: Path):
        shutil.copytree(model, model.parent / "2")
        with manager.use("m") as old:
            manager.poll()
            wait_for(manager, "m", v1="UNLOADING", v2="AVAILABLE")
            assert old.run("serving_default", X)["y"].tolist() == [[3.0]]
        wait_for(manager, "m", v1="END")
        with manager.use("m") as new:
            assert new.version == 2
            assert new.run("serving_default", X)["y"].tolist() == [[3.0]]
