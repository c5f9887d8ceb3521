from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest

from penstock.components.trainer.options import InputOptions
from penstock.errors import ArtifactError
from tests.components.trainer.data import ToyData, separable_rows, serialize, write_shard


def test_counts_the_rows_of_all_files(toy: ToyData, tmp_path: Path) -> None:
    from penstock.components.trainer.records import count_rows

    empty = write_shard(tmp_path / "none.gz", [])
    split = count_rows([*toy.train, empty], "train", InputOptions())
    assert (split.rows, split.files, split.rows_per_file) == (256, (*toy.train, empty), (128, 128, 0))


def test_reads_several_files_a_block_of_each_in_turn(toy: ToyData) -> None:
    import tensorflow as tf

    from penstock.components.trainer.records import read_blocks

    def blocks(**options: Any) -> list[list[bytes]]:
        read = read_blocks(toy.train, InputOptions(parallel_reads=2), block_rows=100, **options)
        return [block.numpy().tolist() for block in read]

    one, other = ([serialize(row) for row in separable_rows(256, seed=1)[part::2]] for part in (0, 1))
    assert blocks() == [one[:100], other[:100], one[100:], other[100:]]
    seeded = {tuple(blocks(seed=tf.constant([seed, 0], tf.int64))[0]) for seed in range(6)}
    assert seeded == {tuple(one[:100]), tuple(other[:100])}


def test_the_first_rows_are_those_of_the_first_files(toy: ToyData) -> None:
    from penstock.components.trainer.records import first_records

    assert first_records(toy.train, "train", 3) == [serialize(row) for row in separable_rows(256, seed=1)[:6:2]]


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.9, 0.999])
def test_a_file_cut_anywhere_is_named(toy: ToyData, tmp_path: Path, share: float) -> None:
    from penstock.components.trainer.records import count_rows

    whole = Path(toy.train[0]).read_bytes()
    cut = tmp_path / "cut.gz"
    cut.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ArtifactError, match=r"the examples cannot be read: .*(cut short|truncated record)") as caught:
        count_rows([toy.train[1], str(cut)], "train", InputOptions())
    assert caught.value.where == str(cut)


def test_a_flipped_byte_is_named(tmp_path: Path) -> None:
    from penstock.components.trainer.records import count_rows

    file = Path(write_shard(tmp_path / "flipped.gz", separable_rows(8, seed=1)))
    records = bytearray(gzip.decompress(file.read_bytes()))
    records[20] ^= 1
    file.write_bytes(gzip.compress(bytes(records)))
    with pytest.raises(ArtifactError, match="corrupted record") as caught:
        count_rows([str(file)], "train", InputOptions())
    assert caught.value.where == str(file)


def test_a_gzip_file_of_several_members_is_whole(tmp_path: Path) -> None:
    from penstock.components.trainer.records import count_rows

    parts = [Path(write_shard(tmp_path / f"{n}.gz", separable_rows(4, seed=n))).read_bytes() for n in (1, 2)]
    file = tmp_path / "joined.gz"
    file.write_bytes(b"".join(parts))
    assert count_rows([str(file)], "train", InputOptions()).rows == 8


@pytest.mark.parametrize("compression", ["", "GZIP", "ZLIB"])
def test_any_compression_is_told_by_content(tmp_path: Path, compression: str) -> None:
    import tensorflow as tf

    from penstock.components.trainer.records import count_rows, first_records

    file = str(tmp_path / "rows.tfrecord")
    with tf.io.TFRecordWriter(file, compression) as writer:
        for row in separable_rows(4, seed=1):
            writer.write(serialize(row))
    assert count_rows([file], "train", InputOptions()).rows == 4
    assert first_records([file], "train", 9) == [serialize(row) for row in separable_rows(4, seed=1)]


def test_an_uncompressed_file_without_rows(tmp_path: Path) -> None:
    from penstock.components.trainer.records import count_rows

    (tmp_path / "none").touch()
    rows = write_shard(tmp_path / "rows.gz", separable_rows(4, seed=1))
    assert count_rows([str(tmp_path / "none"), rows], "train", InputOptions()).rows_per_file == (0, 4)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "even an empty gzip file has a header"),
        (b"id,label\n1,2\n", "incorrect header check"),
        (None, "No such file"),
    ],
)
def test_files_that_are_no_tfrecords(tmp_path: Path, content: bytes | None, message: str) -> None:
    from penstock.components.trainer.records import count_rows

    file = tmp_path / "bad.gz"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ArtifactError, match=message) as caught:
        count_rows([str(file)], "train", InputOptions())
    assert caught.value.where == str(file)


def test_an_empty_split(tmp_path: Path) -> None:
    from penstock.components.trainer.records import count_rows, first_records

    file = write_shard(tmp_path / "none.gz", [])
    for files, received in [((file,), "no row in 1 file"), ((), "no row in 0 files")]:
        with pytest.raises(ArtifactError, match="split 'eval' is empty") as caught:
            count_rows(files, "eval", InputOptions())
        assert caught.value.received == received
        with pytest.raises(ArtifactError, match="split 'eval' is empty"):
            first_records(files, "eval", 3)
