import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from examples.digits import data
from examples.digits.sources import Digits, Split, from_sklearn

SHARDS = ["eval-00000-of-00001.tfrecord.gz", "train-00000-of-00002.tfrecord.gz", "train-00001-of-00002.tfrecord.gz"]


@pytest.fixture(scope="module")
def digits() -> Digits:
    return from_sklearn()


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def _examples(folder: Path, pattern: str) -> tuple[np.ndarray[Any, Any], list[int]]:
    import tensorflow as tf

    shards = sorted(map(str, folder.glob(pattern)))
    records = tf.data.TFRecordDataset(shards, compression_type="GZIP").as_numpy_iterator()
    features = [tf.train.Example.FromString(record).features.feature for record in records]
    images = np.array([each["image"].float_list.value for each in features])
    return images, [each["label"].int64_list.value[0] for each in features]


def test_the_shards_hold_every_digit(digits: Digits, tmp_path: Path):
    assert data.write(digits, tmp_path)
    assert sorted(_files(tmp_path)) == SHARDS
    for name, split in digits.items():
        images, labels = _examples(tmp_path, f"{name}-*")
        order = np.argsort([index % data.SHARDS[name] for index in range(len(labels))], kind="stable")
        np.testing.assert_array_equal(images, split.images[order])
        np.testing.assert_array_equal(labels, split.labels[order])


def test_equal_digits_give_equal_bytes(digits: Digits, tmp_path: Path):
    data.write(digits, tmp_path / "first")
    data.write(digits, tmp_path / "second")
    assert _files(tmp_path / "first") == _files(tmp_path / "second")


def test_complete_shards_are_not_written_again(digits: Digits, tmp_path: Path):
    data.write(digits, tmp_path)
    before = {name: (tmp_path / name).stat().st_ino for name in SHARDS}
    assert not data.write(digits, tmp_path)
    assert {name: (tmp_path / name).stat().st_ino for name in SHARDS} == before


def test_a_lost_or_damaged_shard_is_written_again(digits: Digits, tmp_path: Path):
    data.write(digits, tmp_path)
    complete = _files(tmp_path)
    (tmp_path / SHARDS[0]).unlink()
    assert data.write(digits, tmp_path)
    (tmp_path / SHARDS[1]).write_bytes(b"damaged")
    assert data.write(digits, tmp_path)
    (tmp_path / data.PROVENANCE).write_text("[]")
    assert data.write(digits, tmp_path)
    assert _files(tmp_path) == complete


def test_other_digits_replace_the_shards(digits: Digits, tmp_path: Path):
    data.write(digits, tmp_path)
    other = {name: Split(split.images[:6], split.labels[:6]) for name, split in digits.items()}
    assert data.write(other, tmp_path)
    assert len(_examples(tmp_path, "train-*")[1]) == 6


def test_an_interrupted_run_is_not_taken_for_complete(digits: Digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupt(source: Path, target: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(data, "_publish", interrupt)
        with pytest.raises(KeyboardInterrupt):
            data.write(digits, tmp_path)
    assert _files(tmp_path) == {}
    assert data.write(digits, tmp_path)


def test_only_shards_lie_in_the_folder_itself(digits: Digits, tmp_path: Path):
    data.write(digits, tmp_path)
    assert sorted(child.name for child in tmp_path.iterdir()) == [".provenance", *SHARDS]
    assert [child.name for child in (tmp_path / ".provenance").iterdir()] == ["digits.json"]
    assert sorted(json.loads((tmp_path / data.PROVENANCE).read_text())["shards"]) == SHARDS


class TestCommand:
    def test_it_says_what_it_did(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
        folder = tmp_path / "digits"
        assert data.main([str(folder)]) == 0
        assert data.main([str(folder)]) == 0
        assert capsys.readouterr().out == (
            f"{folder}: 1437 train, 360 eval examples written\n{folder}: 1437 train, 360 eval examples are up to date\n"
        )

    def test_own_digits_of_another_size_are_written(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
        own = tmp_path / "own.npz"
        np.savez(own, x_train=np.ones((4, 5, 5)), y_train=[1, 2, 3, 4], x_test=np.ones((2, 5, 5)), y_test=[1, 2])
        assert data.main([str(tmp_path / "digits"), "--npz", str(own)]) == 0
        assert capsys.readouterr().out == f"{tmp_path}/digits: 4 train, 2 eval examples written\n"
        assert _examples(tmp_path / "digits", "train-*")[0].shape == (4, 25)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--npz", "gone.npz"], "error: gone.npz: No such file or directory\n"),
            (["--npz", "."], "error: .: Is a directory\n"),
            (["--idx", "gone"], "error: gone: No such file or directory\n"),
            (["--idx", "empty"], "error: empty lacks train-images-idx3-ubyte\n  received: an empty folder\n"),
        ],
    )
    def test_bad_input_gives_one_error_and_status_1(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        arguments: list[str],
        message: str,
    ):
        monkeypatch.chdir(tmp_path)
        Path("empty").mkdir()
        assert data.main(["digits", *arguments]) == 1
        captured = capsys.readouterr()
        assert captured.err.startswith(message)
        assert captured.out == ""
        assert not Path("digits").exists()

    def test_a_destination_that_is_a_file_is_told(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
        (tmp_path / "digits").write_text("a file")
        assert data.main([str(tmp_path / "digits")]) == 1
        assert capsys.readouterr().err == (
            f"error: {tmp_path}/digits/.provenance/digits.json: Not a directory\n"
            "  next: check the path and its permissions\n"
        )

    def test_a_writer_that_fails_is_told(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ):
        import tensorflow as tf

        def fail(*arguments: object) -> None:
            raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

        monkeypatch.setattr(data, "_write_records", fail)
        assert data.main([str(tmp_path / "digits")]) == 1
        assert capsys.readouterr().err == (
            f"error: {tmp_path}/digits/.provenance/train-00000-of-00002.tfrecord.gz cannot be written\n"
            "  received: No space left on device\n"
            "  expected: a folder that can be written and enough free space\n"
            "  next: check the permissions and the free space of that folder\n"
        )


def test_an_up_to_date_run_does_not_import_tensorflow(digits: Digits, tmp_path: Path, pytestconfig: pytest.Config):
    data.write(digits, tmp_path)
    script = "import sys; from examples.digits import data; data.main(sys.argv[1:]); print('tensorflow' in sys.modules)"
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=pytestconfig.rootpath)
    assert done.stdout.splitlines()[-1] == "False"


def test_what_tensorflow_writes_at_its_import_is_held_back(tmp_path: Path, pytestconfig: pytest.Config):
    command = [sys.executable, "-m", "examples.digits.data", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=pytestconfig.rootpath)
    assert (done.stdout, done.stderr) == (f"{tmp_path}: 1437 train, 360 eval examples written\n", "")


def test_what_is_written_before_a_failure_is_shown(capfd: pytest.CaptureFixture[str]):
    def fail() -> None:
        os.write(2, b"a library is missing\n")
        raise ImportError("no such library")

    with pytest.raises(ImportError, match="no such library"), data._native_notes_held_back():
        fail()
    assert capfd.readouterr().err == "a library is missing\n"
