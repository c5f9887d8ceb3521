"""Rows of TFRecord files as the signatures of a model take them, with their labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import tensorflow as tf

from penstock.closest import did_you_mean
from penstock.errors import ArtifactError
from penstock.serving.saved_model import SignatureInfo, TensorInfo, tensorflow_message

if TYPE_CHECKING:
    from numpy.typing import NDArray

_GZIP = b"\x1f\x8b"
_KINDS = {"float_list": "float32", "int64_list": "int64", "bytes_list": "string"}


@dataclass(frozen=True)
class Batch:
    """Some rows.

    Args:
        inputs: Signature → input → array, the rows first.
        labels: One entry a row; None where no label is known.
    """

    inputs: Mapping[str, Mapping[str, NDArray[Any]]]
    labels: NDArray[Any] | None


@dataclass(frozen=True)
class RowFiles:
    """The first rows of some files.

    Args:
        files: TFRecord files of tf.Example, compressed by gzip or not.
        limit: Rows to read, a count, at most.
        name: What to call them in an error, such as ``split 'eval'``.
    """

    files: tuple[str, ...]
    limit: int
    name: str

    def serialized(self, size: int) -> Iterator[NDArray[Any]]:
        """Yield vectors of up to ``size`` serialized rows.

        Raises:
            ArtifactError: There is no row, or a file is not there or damaged.
        """
        read = 0
        try:
            for vector in self._dataset().take(self.limit).batch(size).as_numpy_iterator():
                read += len(vector)
                yield vector
        except (OSError, tf.errors.OpError) as error:
            raise ArtifactError(
                f"the rows of {self.name} cannot be read: {tensorflow_message(error)}",
                where=", ".join(self.files),
                expected="intact TFRecord files of tf.Examples",
            ) from error
        if not read:
            raise ArtifactError(
                f"{self.name} has no rows",
                where=self.files[0].rpartition("/")[0] or None if self.files else None,
                received=f"no row in {len(self.files)} file{'' if len(self.files) == 1 else 's'}",
                expected="at least one tf.Example",
            )

    def _dataset(self) -> Any:
        dataset = tf.data.Dataset.from_tensor_slices(np.array([], dtype=object).astype(str))
        for file in self.files:
            dataset = dataset.concatenate(tf.data.TFRecordDataset(file, _compression(file)))
        return dataset


@dataclass(frozen=True)
class Parser:
    """Makes of serialized rows what signatures take.

    Args:
        signatures: The signatures.
        features: Whether they take the rows' own features, or what Transform's graph makes of them.
        label: The label feature, transformed where there is a graph; None for no labels.
        transform_graph: Transform's output folder; None where there is none.
        lengths: Input → values a row, a count, for inputs whose length a signature leaves open; rows with fewer values
            are filled up with what the Trainer's signatures take for missing.
    """

    signatures: Sequence[SignatureInfo]
    features: Literal["raw", "transformed"] = "raw"
    label: str | None = None
    transform_graph: Path | None = None
    lengths: Mapping[str, int] = field(default_factory=dict)

    def batches(self, rows: RowFiles, size: int) -> Iterator[Batch]:
        """Yield rows in batches of up to ``size``.

        Raises:
            ArtifactError: There are no rows, or they have not the features that a signature takes.
        """
        transform = _Transform(self.transform_graph) if self._transforms() else None
        for serialized in rows.serialized(size):
            columns = transform(serialized, rows.name) if transform else {}
            if self.features == "transformed":
                inputs = {each.name: _selected(columns, each, rows.name) for each in self.signatures}
            else:
                inputs = {each.name: self._parsed(serialized, each, rows.name) for each in self.signatures}
            yield Batch(inputs, self._labels(serialized, columns, rows.name))

    def _transforms(self) -> bool:
        return self.transform_graph is not None and (self.features == "transformed" or self.label is not None)

    def _parsed(self, serialized: NDArray[Any], signature: SignatureInfo, name: str) -> dict[str, NDArray[Any]]:
        what, present = f"signature {signature.name!r}", _features(serialized[0])
        for tensor in signature.inputs:
            if tensor.name not in present and not _is_open(tensor):
                raise _no_feature(tensor.name, what, name, _described(serialized[0]), present)
        columns = _parse(serialized, signature.inputs, what, name)
        return {
            key: _filled(column, self.lengths[key], f"{key} of {name}") if key in self.lengths else column
            for key, column in columns.items()
        }

    def _labels(self, serialized: NDArray[Any], columns: Mapping[str, NDArray[Any]], name: str) -> NDArray[Any] | None:
        if self.label is None:
            return None
        if self.transform_graph is not None:
            return _column(columns, self.label, "the label", name)
        kind, length = _features(serialized[0]).get(self.label, (None, 0))
        if kind is None:
            raise _no_feature(self.label, "the label", name, _described(serialized[0]), _features(serialized[0]))
        info = TensorInfo(self.label, kind, (None, length))
        return _parse(serialized, [info], "the label", name)[self.label]


class _Transform:
    """Transform's graph, applied to serialized rows."""

    def __init__(self, folder: Path | None) -> None:
        import tensorflow_transform as tft

        try:
            output = tft.TFTransformOutput(str(folder))
            self._spec, self._layer = output.raw_feature_spec(), output.transform_features_layer()
        except (OSError, ValueError, tf.errors.OpError) as error:
            raise ArtifactError(f"the transform graph cannot be read: {error}", where=str(folder)) from error

    def __call__(self, serialized: NDArray[Any], name: str) -> dict[str, NDArray[Any]]:
        try:
            columns = self._layer(tf.io.parse_example(serialized, self._spec))
        except tf.errors.InvalidArgumentError as error:
            raise _other_features(error, "Transform's graph", name, serialized[0]) from error
        return {key: _dense(value) for key, value in columns.items()}


def open_lengths(signatures: Sequence[SignatureInfo]) -> frozenset[str]:
    """Return the inputs of which a row may have any number of values."""
    return frozenset(tensor.name for signature in signatures for tensor in signature.inputs if _is_open(tensor))


def _is_open(tensor: TensorInfo) -> bool:
    return tensor.shape is not None and None in tensor.shape[1:]


def _filled(column: NDArray[Any], length: int, what: str) -> NDArray[Any]:
    if column.shape[1] > length:
        raise ArtifactError(
            f"a row has {column.shape[1]} values of {what}",
            expected=f"at most {length}, as many as the representative rows have",
            hint="take more representative rows, or set `batch: dynamic`",
        )
    missing = _missing(tf.as_dtype(column.dtype))
    return np.pad(column, [(0, 0), (0, length - column.shape[1])], constant_values=missing)


def _missing(dtype: Any) -> Any:
    """Return what the Trainer's signatures take for a value that is not there."""
    return "" if dtype == tf.string else float("nan") if dtype.is_floating else dtype.min


def _parse(serialized: NDArray[Any], tensors: Sequence[TensorInfo], what: str, name: str) -> dict[str, NDArray[Any]]:
    spec = {tensor.name: _spec(tensor) for tensor in tensors}
    try:
        columns = tf.io.parse_example(serialized, spec)
    except tf.errors.InvalidArgumentError as error:
        raise _other_features(error, what, name, serialized[0], tensors) from error
    return {tensor.name: _dense(columns[tensor.name]).astype(_numpy_type(tensor.dtype)) for tensor in tensors}


def _spec(tensor: TensorInfo) -> Any:
    """Return how an input is parsed; tf.Examples know three types only."""
    dtype = tf.as_dtype(tensor.dtype)
    stored = dtype if dtype == tf.string else tf.float32 if dtype.is_floating else tf.int64
    shape = [] if tensor.shape is None else list(tensor.shape[1:])
    return tf.io.VarLenFeature(stored) if _is_open(tensor) else tf.io.FixedLenFeature(shape, stored)


def _numpy_type(dtype: str) -> Any:
    return object if dtype == "string" else tf.as_dtype(dtype).as_numpy_dtype


def _dense(value: Any) -> NDArray[Any]:
    if isinstance(value, tf.SparseTensor):
        value = tf.sparse.to_dense(value, default_value=_missing(value.dtype))
    if isinstance(value, tf.RaggedTensor):
        value = value.to_tensor()
    return np.asarray(value)


def _selected(columns: Mapping[str, NDArray[Any]], signature: SignatureInfo, name: str) -> dict[str, NDArray[Any]]:
    what = f"signature {signature.name!r}"
    found = {tensor.name: _column(columns, tensor.name, what, name) for tensor in signature.inputs}
    return {tensor.name: found[tensor.name].astype(_numpy_type(tensor.dtype)) for tensor in signature.inputs}


def _column(columns: Mapping[str, NDArray[Any]], feature: str, what: str, name: str) -> NDArray[Any]:
    if feature not in columns:
        described = ", ".join(f"{key} {value.dtype}{list(value.shape[1:])}" for key, value in sorted(columns.items()))
        raise _no_feature(feature, what, f"what Transform makes of {name}", described, columns)
    return columns[feature]


def _features(row: bytes) -> dict[str, tuple[str, int]]:
    """Return name → type and number of values of a row's features."""
    from google.protobuf.message import DecodeError

    try:
        features = tf.train.Example.FromString(row).features.feature
    except DecodeError as error:
        raise ArtifactError(f"a row is no tf.Example: {error}", expected="tf.Examples") from error
    kinds = {key: feature.WhichOneof("kind") for key, feature in features.items()}
    return {key: (_KINDS[kind], len(getattr(features[key], kind).value)) for key, kind in kinds.items() if kind}


def _described(row: bytes) -> str:
    return ", ".join(f"{key} {kind}[{length}]" for key, (kind, length) in sorted(_features(row).items())) or "none"


def _no_feature(feature: str, what: str, name: str, received: str, present: Mapping[str, Any]) -> ArtifactError:
    subject = f"{what} is {feature!r}" if what == "the label" else f"{what} takes {feature!r}"
    return ArtifactError(
        f"{subject}, and {name} has no such feature",
        received=received,
        expected=feature,
        hint=did_you_mean(feature, present),
    )


def _other_features(
    error: Exception, what: str, name: str, row: bytes, tensors: Sequence[TensorInfo] = ()
) -> ArtifactError:
    taken = ", ".join(f"{t.name} {t.dtype}{list(t.shape[1:]) if t.shape else []}" for t in tensors)
    return ArtifactError(
        f"the rows of {name} are not what {what} takes: {tensorflow_message(error)}",
        received=f"the first row has {_described(row)}",
        expected=taken or None,
    )


def _compression(file: str) -> str:
    with tf.io.gfile.GFile(file, "rb") as stream:
        return "GZIP" if stream.read(len(_GZIP)) == _GZIP else ""
