"""Where handwritten digits come from: scikit-learn, an ``.npz`` file, or a folder of idx files as MNIST has them."""

from __future__ import annotations

import gzip
import math
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from penstock.errors import ArtifactError

_NPZ_ARRAYS = ("x_train", "y_train", "x_test", "y_test")
_UNSIGNED_BYTE = 0x08


@dataclass(frozen=True)
class Split:
    """Images, float32 [examples, height * width], and their labels, int64 [examples], each 0 to 9."""

    images: NDArray[np.float32]
    labels: NDArray[np.int64]


Digits = dict[str, Split]
"""``{"train": …, "eval": …}``."""


def from_sklearn() -> Digits:
    """Return the 1,797 UCI digits (8x8, 0 to 16), split 80 : 20 by a fixed seed, each class in proportion."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    images, labels = load_digits(return_X_y=True)
    parts = train_test_split(images, labels, test_size=0.2, random_state=0, stratify=labels)
    train_images, eval_images, train_labels, eval_labels = parts
    return _digits((train_images, train_labels), (eval_images, eval_labels), "scikit-learn")


def from_npz(path: Path) -> Digits:
    """Read ``x_train``, ``y_train``, ``x_test`` and ``y_test``, as ``mnist.npz`` has them.

    Raises:
        ArtifactError: The file is no such file, or its arrays do not fit together.
    """
    with path.open("rb") as stream:
        if not zipfile.is_zipfile(stream):
            raise _unreadable(path, "it is no zip archive")
    try:
        with np.load(path, allow_pickle=False) as file:
            names = list(file.files)
            arrays = {name: np.asarray(file[name]) for name in _NPZ_ARRAYS if name in names}
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise _unreadable(path, str(error)) from error
    missing = [name for name in _NPZ_ARRAYS if name not in arrays]
    if missing:
        raise _error(
            f"{path} lacks {', '.join(missing)}",
            received=f"the arrays {', '.join(names) or '(none)'}",
            expected=f"the arrays {', '.join(_NPZ_ARRAYS)}",
            hint="save it with numpy.savez(path, x_train=…, y_train=…, x_test=…, y_test=…)",
        )
    x_train, y_train, x_test, y_test = (arrays[name] for name in _NPZ_ARRAYS)
    return _digits((x_train, y_train), (x_test, y_test), str(path))


def _unreadable(path: Path, reason: str) -> ArtifactError:
    return _error(
        f"{path} cannot be read as an .npz file",
        received=reason,
        expected="a file that numpy.savez wrote, without Python objects",
        hint="check the file, or fetch it again",
    )


def from_idx(folder: Path) -> Digits:
    """Read the four idx files of MNIST, compressed or not.

    Raises:
        ArtifactError: A file is missing or damaged, or the files do not fit together.
    """
    train, test = (
        (_read_idx(folder, f"{name}-images-idx3-ubyte", 3), _read_idx(folder, f"{name}-labels-idx1-ubyte", 1))
        for name in ("train", "t10k")
    )
    return _digits(train, test, str(folder))


def _read_idx(folder: Path, name: str, dimensions: int) -> NDArray[np.uint8]:
    path = next((each for each in (folder / name, folder / f"{name}.gz") if each.is_file()), None)
    if path is None:
        raise _error(
            f"{folder} lacks {name}",
            received=", ".join(sorted(each.name for each in folder.iterdir())) or "an empty folder",
            expected=f"{name} or {name}.gz",
            hint="give the folder that holds the four files of MNIST",
        )
    data = _read(path)
    magic = bytes([0, 0, _UNSIGNED_BYTE, dimensions])
    if data[:4] != magic:
        raise _error(
            f"{path} is no idx file of {dimensions} dimension{'s' if dimensions > 1 else ''}",
            received=f"it begins with {data[:4].hex(' ') or 'nothing'}",
            expected=f"it begins with {magic.hex(' ')}",
            hint="check that images and labels are not mixed up, or fetch the file again",
        )
    header = 4 + 4 * dimensions
    shape = tuple(int.from_bytes(data[at : at + 4], "big") for at in range(4, header, 4))
    size = header + math.prod(shape)
    if len(data) != size:
        raise _error(
            f"{path} is cut off or too long",
            received=f"{len(data)} bytes",
            expected=f"{size} bytes, for the shape {shape} in its header",
            hint="fetch the file again",
        )
    return np.frombuffer(data, np.uint8, offset=header).reshape(shape)


def _read(path: Path) -> bytes:
    if path.suffix != ".gz":
        return path.read_bytes()
    try:
        with gzip.open(path) as stream:
            return stream.read()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise _error(
            f"{path} cannot be decompressed",
            received=str(error),
            expected="a complete gzip file",
            hint="fetch the file again",
        ) from error


Arrays = tuple[NDArray[np.generic], NDArray[np.generic]]


def _digits(train: Arrays, test: Arrays, where: str) -> Digits:
    digits = {"train": _split(*train, f"{where} (train)"), "eval": _split(*test, f"{where} (test)")}
    sizes = [split.images.shape[1] for split in digits.values()]
    if sizes[0] != sizes[1]:
        raise _error(
            f"{where}: training and test images differ in size",
            received=f"{sizes[0]} and {sizes[1]} pixels",
            expected="one size",
            hint="scale one of them to the size of the other",
        )
    return digits


def _split(images: NDArray[np.generic], labels: NDArray[np.generic], where: str) -> Split:
    """Check that images and labels fit together, and flatten the images."""
    rules = [
        (
            labels.ndim == 1 and labels.dtype.kind in "iu",
            f"labels {labels.dtype} of shape {labels.shape}",
            "whole-number labels of shape (examples,)",
        ),
        (
            images.ndim >= 2 and images.dtype.kind in "iuf",
            f"images {images.dtype} of shape {images.shape}",
            "numeric images of shape (examples, height, width)",
        ),
        (
            images.shape[:1] == labels.shape[:1],
            f"{images.shape[:1]} images and {labels.shape[:1]} labels",
            "as many labels as images",
        ),
        (images.size > 0, f"images of shape {images.shape}", "at least one image"),
    ]
    _check(rules, where)
    flat = images.reshape(len(images), -1).astype(np.float32)
    side = math.isqrt(flat.shape[1])
    square = images.shape[1:] in ((side * side,), (side, side), (side, side, 1))
    low, high = int(labels.min()), int(labels.max())
    rules = [
        (square, f"images of shape {images.shape[1:]}", "square images of one channel"),
        (bool(np.isfinite(flat).all()), "a pixel that is NaN or infinite", "finite pixels"),
        (low >= 0 and high <= 9, f"labels from {low} to {high}", "labels from 0 to 9"),
    ]
    _check(rules, where)
    return Split(flat, labels.astype(np.int64))


def _check(rules: list[tuple[bool, str, str]], where: str) -> None:
    for holds, received, expected in rules:
        if not holds:
            raise _error(f"{where} holds no digits", received=received, expected=expected, hint="correct the arrays")


def _error(what: str, *, received: str, expected: str, hint: str) -> ArtifactError:
    return ArtifactError(what, received=received, expected=expected, hint=hint)
