"""Writes handwritten digits as TFRecord shards: ``python -m examples.digits.data data/digits``.

Every record is a ``tf.Example`` with ``image`` (float, height * width values, row by row) and ``label`` (int64).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from examples.digits.sources import Digits, Split, from_idx, from_npz, from_sklearn
from penstock.errors import EnvironmentProblem, PenstockError

SHARDS = {"train": 2, "eval": 1}
FORMAT = 1
"""Counted up when the same digits would be written as other bytes, so that shards of an older version are replaced."""

# In a folder of its own, because ExampleGen's default pattern reads every file of the data folder.
PROVENANCE = Path(".provenance", "digits.json")


def write(digits: Digits, folder: Path) -> bool:
    """Write the digits as shards into a folder, unless exactly these are there already.

    Every shard appears complete or not at all. Equal digits give equal bytes.

    Returns:
        Whether anything was written.
    """
    fingerprint = _fingerprint(digits)
    if _is_complete(folder, fingerprint):
        return False
    with _native_notes_held_back():
        import tensorflow as tf  # noqa: F401  For what follows.

    work = folder / PROVENANCE.parent
    work.mkdir(parents=True, exist_ok=True)
    hashes = {}
    for name, split in digits.items():
        count = SHARDS[name]
        for index in range(count):
            shard = f"{name}-{index:05d}-of-{count:05d}.tfrecord.gz"
            _write_shard(split, slice(index, None, count), work / shard)
            hashes[shard] = _sha256(work / shard)
            _publish(work / shard, folder / shard)
    # Last, so that an interrupted run does not count as complete.
    unfinished = work / "unfinished"
    unfinished.write_text(json.dumps({"fingerprint": fingerprint, "shards": hashes}, indent=1) + "\n", encoding="utf-8")
    _publish(unfinished, folder / PROVENANCE)
    return True


@contextmanager
def _native_notes_held_back() -> Iterator[None]:
    """Hold back what libraries write past Python, at any log level: TensorFlow's notes on missing GPUs, for one.

    Where the block fails they are shown.
    """
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as notes:
        os.dup2(notes.fileno(), 2)
        try:
            yield
        except BaseException:
            notes.seek(0)
            os.write(stderr, notes.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def _fingerprint(digits: Digits) -> str:
    digest = hashlib.sha256(f"format {FORMAT}, shards {SHARDS}".encode())
    for name, split in sorted(digits.items()):
        digest.update(f"{name} {split.images.shape}".encode())
        digest.update(split.images.tobytes())
        digest.update(split.labels.tobytes())
    return digest.hexdigest()


def _is_complete(folder: Path, fingerprint: str) -> bool:
    try:
        recorded = json.loads((folder / PROVENANCE).read_bytes())
        hashes = {shard: _sha256(folder / shard) for shard in recorded["shards"]}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        # Never written, interrupted or damaged: all of it is written anew.
        return False
    return bool(recorded == {"fingerprint": fingerprint, "shards": hashes})


def _write_shard(split: Split, rows: slice, path: Path) -> None:
    import tensorflow as tf

    try:
        _write_records(split, rows, path)
    except tf.errors.OpError as error:
        raise EnvironmentProblem(
            f"{path} cannot be written",
            received=error.message,
            expected="a folder that can be written and enough free space",
            hint="check the permissions and the free space of that folder",
        ) from error


def _write_records(split: Split, rows: slice, path: Path) -> None:
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(path), options="GZIP") as writer:
        for image, label in zip(split.images[rows], split.labels[rows], strict=True):
            features = {
                "image": tf.train.Feature(float_list=tf.train.FloatList(value=image)),
                "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
            }
            example = tf.train.Example(features=tf.train.Features(feature=features))
            # Protobuf keeps no order of map entries otherwise, and equal digits shall give equal bytes.
            writer.write(example.SerializeToString(deterministic=True))


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _publish(source: Path, target: Path) -> None:
    with source.open("rb") as stream:
        os.fsync(stream.fileno())
    source.replace(target)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m examples.digits.data", description="Write digits as TFRecords.")
    parser.add_argument("folder", type=Path, help="where the shards go, for example data/digits")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--npz", type=Path, metavar="FILE", help="your own digits: x_train, y_train, x_test, y_test")
    source.add_argument("--idx", type=Path, metavar="DIR", help="your own digits: the four idx files of MNIST")
    return parser.parse_args(argv)


def _load(arguments: argparse.Namespace) -> Digits:
    if arguments.npz:
        return from_npz(arguments.npz)
    if arguments.idx:
        return from_idx(arguments.idx)
    return from_sklearn()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    arguments = _arguments(argv)
    try:
        digits = _load(arguments)
        written = write(digits, arguments.folder)
    except PenstockError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {error.filename}: {error.strerror}\n  next: check the path and its permissions", file=sys.stderr)
        return 1
    counts = ", ".join(f"{len(split.labels)} {name}" for name, split in digits.items())
    print(f"{arguments.folder}: {counts} examples {'written' if written else 'are up to date'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
