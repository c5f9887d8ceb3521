"""How TFRecord files are compressed, and whether the end of a compressed one is there."""

from __future__ import annotations

import gzip
import struct
import zlib
from typing import Literal

import tensorflow as tf

Compression = Literal["", "GZIP", "ZLIB"]
"""The names that ``tf.data.TFRecordDataset`` takes."""

_CHUNK_BYTES = 1 << 20
_LENGTH_BYTES = 8
_CHECKSUM = struct.Struct("<I")
_CHECKSUM_MASK = 0xA282EAD8
_CASTAGNOLI = 0x82F63B78


def compression_of(file: str) -> Compression:
    """Return a TFRecord file's compression: a ``.gz`` file is gzip, any other is looked into.

    Raises:
        tf.errors.NotFoundError: There is no such file.
    """
    if file.endswith(".gz"):
        return "GZIP"
    with tf.io.gfile.GFile(file, "rb") as stream:
        head = stream.read(_LENGTH_BYTES + _CHECKSUM.size)
    return _compression_by_content(head)


def missing_end(file: str, compression: Compression, content_bytes: int) -> str | None:
    """Return what is wrong with the end of a file, or None.

    TensorFlow takes a compressed file that was cut between two records for a shorter one.

    Args:
        file: A file that TensorFlow reads without an error.
        compression: How it is compressed.
        content_bytes: What TensorFlow found in it, in bytes.
    """
    if compression == "GZIP":
        return _cut_gzip(file, content_bytes)
    return _cut_zlib(file) if compression == "ZLIB" else None


def _compression_by_content(head: bytes) -> Compression:
    """Tell by the first bytes; a record's length has a checksum, so that nothing else passes for it."""
    length, checksum = head[:_LENGTH_BYTES], head[_LENGTH_BYTES:]
    if len(checksum) == _CHECKSUM.size and _CHECKSUM.unpack(checksum) == (_masked_crc32c(length),):
        return ""
    if head.startswith(b"\x1f\x8b"):
        return "GZIP"
    # RFC 1950: deflate is method 8, and the two bytes as one number are divisible by 31.
    if len(head) > 1 and head[0] & 15 == 8 and not int.from_bytes(head[:2], "big") % 31:
        return "ZLIB"
    return ""


def _masked_crc32c(data: bytes) -> int:
    """Return TFRecord's checksum: CRC-32C, rotated by 15 bits and shifted by a constant."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (_CASTAGNOLI if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + _CHECKSUM_MASK) & 0xFFFFFFFF


def _cut_gzip(file: str, content_bytes: int) -> str | None:
    """Compare the size in the file's last four bytes with what was read.

    Where they do not agree, the file may still be whole, of several members; Python's gzip then reads it to its end,
    which is slower but sure.
    """
    with tf.io.gfile.GFile(file, "rb") as stream:
        length = stream.size()
        if not length:
            return "the file has no bytes, and even an empty gzip file has a header"
        stream.seek(max(0, length - _CHECKSUM.size))
        if stream.read() == _CHECKSUM.pack(content_bytes % 2**32):
            return None
        stream.seek(0)
        try:
            with gzip.GzipFile(fileobj=stream) as content:
                while content.read(_CHUNK_BYTES):
                    pass
        except (OSError, EOFError, zlib.error) as error:
            return f"the gzip file is cut short or damaged ({error})"
    return None


def _cut_zlib(file: str) -> str | None:
    content = zlib.decompressobj()
    try:
        with tf.io.gfile.GFile(file, "rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                content.decompress(chunk)
    except zlib.error as error:
        return f"the zlib file is damaged ({error})"
    return None if content.eof else "the zlib file is cut short"
