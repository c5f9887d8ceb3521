"""What ``model_fn`` receives: everything that a model needs to know about its data and its run."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any

from penstock.closest import did_you_mean
from penstock.components.trainer.feature_specs import dtype_and_shape

if TYPE_CHECKING:
    import tensorflow_transform as tft
    from keras import KerasTensor
    from tensorflow_metadata.proto.v0 import schema_pb2


class UnknownHParamError(AttributeError, KeyError):
    """A hyperparameter was asked for that the configuration does not give."""

    __str__ = Exception.__str__


class HParams(Mapping[str, Any]):
    """Hyperparameters by attribute or item: ``hparams.units``, ``hparams["units"]``, ``hparams.get("units", 64)``.

    Raises:
        UnknownHParamError: There is no such name; the message gives the closest one.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.__dict__["_values"] = dict(values)

    def __getitem__(self, name: str) -> Any:
        try:
            return self._values[name]
        except KeyError:
            known = ", ".join(sorted(self._values)) or "none"
            suggestion = did_you_mean(name, self._values)
            raise UnknownHParamError(
                f"no hyperparameter {name!r} under hparams; known: {known}" + (f"; {suggestion}" if suggestion else "")
            ) from None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self[name]

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"hparams are read-only; cannot set {name!r} to {value!r}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"HParams({self._values!r})"


def _keras_3() -> ModuleType:
    return importlib.import_module("keras")


@dataclass(frozen=True)
class TrainerContext:
    """What the Trainer tells ``model_fn``.

    Args:
        hparams: Hyperparameters of the configuration, overridden by a Tuner's where one is wired.
        feature_spec: The features that the model can see, after Transform where it is wired, without the label and
            without features that are not there in serving. All are dense: ``FixedLenFeature``, or
            ``FixedLenSequenceFeature`` where the length varies. Shapes are of one row.
        label: Name of the label feature.
        schema: Schema of the raw examples.
        tf_transform_output: Vocabularies and statistics of Transform, or None if it is not wired.
        num_replicas: Replicas that train in step over all workers, a count.
        global_batch_size: Rows of one step over all replicas.
        num_workers: Processes that train together, a count.
        keras: The Keras that the configuration asks for, Keras 3 or tf_keras; the same as ``tf.keras``.
        quantize_aware: The model that ``model_fn`` returns is trained as its quantization-aware twin.
    """

    hparams: HParams
    feature_spec: Mapping[str, Any]
    label: str
    schema: schema_pb2.Schema
    tf_transform_output: tft.TFTransformOutput | None
    num_replicas: int
    global_batch_size: int
    num_workers: int = 1
    keras: ModuleType = field(default_factory=_keras_3)
    quantize_aware: bool = False

    def inputs(self) -> dict[str, KerasTensor]:
        """Return one ``keras.Input`` a feature, of shape (batch, *feature's shape)."""
        described = {name: dtype_and_shape(spec) for name, spec in self.feature_spec.items()}
        return {
            name: self.keras.Input(shape=shape, dtype=dtype, name=name) for name, (dtype, shape) in described.items()
        }
