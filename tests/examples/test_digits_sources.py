import gzip
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.digits.sources import from_idx, from_npz, from_sklearn
from penstock.errors import ArtifactError


def _npz(tmp_path: Path, **changes: Any) -> Path:
    arrays = {
        "x_train": np.arange(5 * 28 * 28, dtype=np.uint8).reshape(5, 28, 28),
        "y_train": np.array([0, 1, 2, 3, 9], np.uint8),
        "x_test": np.zeros((2, 28, 28), np.uint8),
        "y_test": np.array([4, 5], np.uint8),
    }
    path = tmp_path / "digits.npz"
    np.savez(path, **{name: array for name, array in {**arrays, **changes}.items() if array is not None})
    return path


def _idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def _mnist(folder: Path) -> Path:
    folder.mkdir()
    for name, count in (("train", 5), ("t10k", 2)):
        images = np.arange(count * 28 * 28, dtype=np.uint8).reshape(count, 28, 28)
        (folder / f"{name}-images-idx3-ubyte").write_bytes(_idx(images))
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(_idx(np.arange(count, dtype=np.uint8)))
    return folder


class TestSklearn:
    def test_split_is_stable_complete_and_stratified(self):
        first, second = from_sklearn(), from_sklearn()
        assert {name: split.images.shape for name, split in first.items()} == {"train": (1437, 64), "eval": (360, 64)}
        for name in ("train", "eval"):
            np.testing.assert_array_equal(first[name].images, second[name].images)
            np.testing.assert_array_equal(first[name].labels, second[name].labels)
        shares = [np.bincount(split.labels) / len(split.labels) for split in first.values()]
        np.testing.assert_allclose(shares[0], shares[1], atol=0.005)

    def test_pixels_go_from_0_to_16(self):
        images = from_sklearn()["train"].images
        assert (images.min(), images.max(), images.dtype.name) == (0, 16, "float32")


class TestNpz:
    def test_images_of_another_size_are_flattened(self, tmp_path: Path):
        digits = from_npz(_npz(tmp_path))
        assert digits["train"].images.shape == (5, 784)
        assert digits["train"].images[1, :3].tolist() == [16, 17, 18]
        assert digits["train"].labels.tolist() == [0, 1, 2, 3, 9]
        assert digits["eval"].labels.dtype == np.int64

    @pytest.mark.parametrize("shape", [(5, 28, 28, 1), (5, 784)])
    def test_other_ways_to_store_one_channel_are_read(self, tmp_path: Path, shape: tuple[int, ...]):
        digits = from_npz(_npz(tmp_path, x_train=np.ones(shape, np.float64)))
        assert digits["train"].images.shape == (5, 784)

    def test_missing_arrays_are_named(self, tmp_path: Path):
        path = _npz(tmp_path, y_train=None, x_test=None)
        with pytest.raises(ArtifactError) as caught:
            from_npz(path)
        assert str(caught.value) == (
            f"{path} lacks y_train, x_test\n"
            "  received: the arrays x_train, y_test\n"
            "  expected: the arrays x_train, y_train, x_test, y_test\n"
            "  next: save it with numpy.savez(path, x_train=…, y_train=…, x_test=…, y_test=…)"
        )

    @pytest.mark.parametrize(
        ("changes", "received", "expected"),
        [
            (
                {"y_train": np.zeros(4, np.uint8)},
                "(5,) images and (4,) labels",
                "as many labels as images",
            ),
            (
                {"y_train": np.zeros(5, np.float32)},
                "labels float32 of shape (5,)",
                "whole-number labels of shape (examples,)",
            ),
            (
                {"y_train": np.zeros((5, 10), np.uint8)},
                "labels uint8 of shape (5, 10)",
                "whole-number labels of shape (examples,)",
            ),
            ({"y_train": np.array([0, 1, 2, 3, 10])}, "labels from 0 to 10", "labels from 0 to 9"),
            ({"y_train": np.array([0, 1, 2, 3, -1])}, "labels from -1 to 3", "labels from 0 to 9"),
            (
                {"x_train": np.zeros((5, 28, 20))},
                "images of shape (28, 20)",
                "square images of one channel",
            ),
            (
                {"x_train": np.zeros((5, 4, 4, 4))},
                "images of shape (4, 4, 4)",
                "square images of one channel",
            ),
            ({"x_train": np.full((5, 28, 28), np.nan)}, "a pixel that is NaN or infinite", "finite pixels"),
            (
                {"x_train": np.array(["a"] * 5)},
                "images <U1 of shape (5,)",
                "numeric images of shape (examples, height, width)",
            ),
            (
                {"x_train": np.array(3)},
                "images int64 of shape ()",
                "numeric images of shape (examples, height, width)",
            ),
            (
                {"x_train": np.zeros((0, 28, 28)), "y_train": np.zeros(0, np.uint8)},
                "images of shape (0, 28, 28)",
                "at least one image",
            ),
        ],
    )
    def test_arrays_that_do_not_fit_are_refused(
        self, tmp_path: Path, changes: dict[str, Any], received: str, expected: str
    ):
        path = _npz(tmp_path, **changes)
        with pytest.raises(ArtifactError, match=re.escape(f"{path} (train) holds no digits")) as caught:
            from_npz(path)
        assert (caught.value.received, caught.value.expected) == (received, expected)

    def test_training_and_test_images_have_one_size(self, tmp_path: Path):
        path = _npz(tmp_path, x_test=np.zeros((2, 8, 8)))
        with pytest.raises(ArtifactError, match="training and test images differ in size") as caught:
            from_npz(path)
        assert caught.value.received == "784 and 64 pixels"

    def test_python_objects_are_not_loaded(self, tmp_path: Path):
        path = _npz(tmp_path, x_train=np.array([object()] * 5))
        with pytest.raises(ArtifactError, match=r"cannot be read as an [.]npz file") as caught:
            from_npz(path)
        assert caught.value.received == "Object arrays cannot be loaded when allow_pickle=False"

    @pytest.mark.parametrize("content", [b"", b"not a zip", b"\x93NUMPY\x01\x00"])
    def test_a_file_that_is_no_archive_is_refused(self, tmp_path: Path, content: bytes):
        path = tmp_path / "digits.npz"
        path.write_bytes(content)
        with pytest.raises(ArtifactError, match=r"cannot be read as an [.]npz file") as caught:
            from_npz(path)
        assert caught.value.received == "it is no zip archive"


class TestIdx:
    def test_plain_and_compressed_files_give_the_same(self, tmp_path: Path):
        folder = _mnist(tmp_path / "mnist")
        plain = from_idx(folder)
        for path in list(folder.iterdir()):
            (folder / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
        packed = from_idx(folder)
        assert plain["train"].images.shape == (5, 784)
        assert plain["eval"].labels.tolist() == [0, 1]
        np.testing.assert_array_equal(plain["train"].images, packed["train"].images)

    def test_a_missing_file_is_named(self, tmp_path: Path):
        folder = _mnist(tmp_path / "mnist")
        (folder / "t10k-labels-idx1-ubyte").unlink()
        with pytest.raises(ArtifactError) as caught:
            from_idx(folder)
        assert str(caught.value) == (
            f"{folder} lacks t10k-labels-idx1-ubyte\n"
            "  received: t10k-images-idx3-ubyte, train-images-idx3-ubyte, train-labels-idx1-ubyte\n"
            "  expected: t10k-labels-idx1-ubyte or t10k-labels-idx1-ubyte.gz\n"
            "  next: give the folder that holds the four files of MNIST"
        )

    def test_labels_in_place_of_images_are_told(self, tmp_path: Path):
        folder = _mnist(tmp_path / "mnist")
        path = folder / "train-images-idx3-ubyte"
        path.write_bytes((folder / "train-labels-idx1-ubyte").read_bytes())
        with pytest.raises(ArtifactError) as caught:
            from_idx(folder)
        assert str(caught.value) == (
            f"{path} is no idx file of 3 dimensions\n"
            "  received: it begins with 00 00 08 01\n"
            "  expected: it begins with 00 00 08 03\n"
            "  next: check that images and labels are not mixed up, or fetch the file again"
        )

    @pytest.mark.parametrize(("change", "size"), [(-1, 3935), (1, 3937), (-3930, 6)])
    def test_a_file_of_the_wrong_length_is_refused(self, tmp_path: Path, change: int, size: int):
        folder = _mnist(tmp_path / "mnist")
        path = folder / "train-images-idx3-ubyte"
        path.write_bytes((path.read_bytes() + b"\0")[:size])
        with pytest.raises(ArtifactError, match="is cut off or too long") as caught:
            from_idx(folder)
        assert caught.value.received == f"{size} bytes"

    @pytest.mark.parametrize("content", [b"plain", gzip.compress(b"digits" * 99, mtime=0)[:-12]], ids=["plain", "cut"])
    def test_a_damaged_compressed_file_is_refused(self, tmp_path: Path, content: bytes):
        folder = _mnist(tmp_path / "mnist")
        (folder / "train-images-idx3-ubyte").unlink()
        (folder / "train-images-idx3-ubyte.gz").write_bytes(content)
        with pytest.raises(ArtifactError, match="cannot be decompressed"):
            from_idx(folder)

    def test_counts_that_differ_are_told(self, tmp_path: Path):
        folder = _mnist(tmp_path / "mnist")
        (folder / "train-labels-idx1-ubyte").write_bytes(_idx(np.zeros(4, np.uint8)))
        with pytest.raises(ArtifactError, match="holds no digits") as caught:
            from_idx(folder)
        assert caught.value.received == "(5,) images and (4,) labels"


@given(content=st.binary(max_size=60))
def test_any_bytes_as_idx_give_one_clear_error(tmp_path_factory: pytest.TempPathFactory, content: bytes):
    folder = _mnist(tmp_path_factory.mktemp("any") / "mnist")
    (folder / "train-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03" + content)
    with pytest.raises(ArtifactError):
        from_idx(folder)
