"""A table of random rows as gzip TFRecord shards, for benchmarks that train."""

from __future__ import annotations

from pathlib import Path

import numpy as np

FLOATS = tuple(f"measure_{number}" for number in range(6))
INTEGERS = ("hour", "store")
TEXT = "color"
LABEL = "label"
FEATURES = (*FLOATS, *INTEGERS, TEXT)
SCHEMA = "\n".join(
    f'feature {{ name: "{name}" type: {kind} shape {{ dim {{ size: 1 }} }} presence {{ min_fraction: 1 }} }}'
    for names, kind in ((FLOATS, "FLOAT"), ((*INTEGERS, LABEL), "INT"), ((TEXT,), "BYTES"))
    for name in names
)
"""The schema of a row, in protobuf text format."""

_COLORS = (b"red", b"green", b"blue", b"a color with a long name")


def write_shards(folder: Path, *, rows: int, shards: int) -> tuple[str, ...]:
    """Write ``rows`` rows as gzip shards of equal size, as TFX writes them, and return their paths."""
    import tensorflow as tf

    random = np.random.default_rng(0)
    files = []
    for shard in range(shards):
        files.append(str(folder / f"data_tfrecord-{shard:05d}-of-{shards:05d}.gz"))
        with tf.io.TFRecordWriter(files[-1], "GZIP") as writer:
            for _ in range(rows // shards):
                writer.write(_row(random))
    return tuple(files)


def _row(random: np.random.Generator) -> bytes:
    import tensorflow as tf

    measures = random.normal(size=len(FLOATS)).tolist()
    hour, store = int(random.integers(24)), int(random.integers(1000))
    numbers = dict(zip((*INTEGERS, LABEL), (hour, store, int(sum(measures) > 0)), strict=True))
    feature = {
        name: tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
        for name, value in zip(FLOATS, measures, strict=True)
    }
    for name, number in numbers.items():
        feature[name] = tf.train.Feature(int64_list=tf.train.Int64List(value=[number]))
    color = _COLORS[int(random.integers(len(_COLORS)))]
    feature[TEXT] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[color]))
    return bytes(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
