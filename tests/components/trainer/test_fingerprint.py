from __future__ import annotations

import logging
from pathlib import Path

import pytest

from penstock.components.trainer.options import InputOptions
from tests.components.trainer.data import ToyData, separable_rows, write_shard


def of(*files: str) -> str:
    from penstock.components.trainer.fingerprint import fingerprint
    from penstock.components.trainer.records import count_rows

    return fingerprint(count_rows(files, "train", InputOptions()))


def test_the_same_rows_in_another_order_and_in_other_files(toy: ToyData, tmp_path: Path) -> None:
    rows = separable_rows(256, seed=1)
    whole = write_shard(tmp_path / "whole.gz", list(reversed(rows)))
    assert of(*toy.train) == of(*reversed(toy.train)) == of(whole)
    assert len(of(whole)) == 16


def test_features_in_another_order(tmp_path: Path) -> None:
    import tensorflow as tf

    one, other = b"\x0a\x01a\x12\x05\x1a\x03\x0a\x01\x01", b"\x0a\x01b\x12\x05\x1a\x03\x0a\x01\x02"
    files = []
    for name, entries in (("a", (one, other)), ("b", (other, one)), ("c", (one, one))):
        features = b"".join(b"\x0a" + bytes([len(entry)]) + entry for entry in entries)
        row = b"\x0a" + bytes([len(features)]) + features
        files.append(str(tmp_path / name))
        with tf.io.TFRecordWriter(files[-1]) as writer:
            writer.write(row)
    assert tf.train.Example.FromString(row).features.feature["a"].int64_list.value == [1]
    assert of(files[0]) == of(files[1]) != of(files[2])


def test_other_rows(tmp_path: Path) -> None:
    rows = separable_rows(8, seed=1)
    files = [write_shard(tmp_path / "all.gz", rows), write_shard(tmp_path / "less.gz", rows[1:])]
    files.append(write_shard(tmp_path / "other.gz", [*rows[1:], *separable_rows(1, seed=9)]))
    assert len({of(file) for file in files}) == 3


def test_a_large_split_has_none(toy: ToyData, monkeypatch: pytest.MonkeyPatch) -> None:
    from penstock.components.trainer import fingerprint

    monkeypatch.setattr(fingerprint, "LARGEST_BYTES", 100)
    assert of(*toy.train) == ""


def test_rows_that_are_no_examples_have_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    import tensorflow as tf

    caplog.set_level(logging.INFO)
    with tf.io.TFRecordWriter(str(tmp_path / "rows")) as writer:
        writer.write(b"no example at all")
    assert of(str(tmp_path / "rows")) == ""
    assert "the rows have no fingerprint" in caplog.text
