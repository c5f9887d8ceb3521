"""Which Keras a run uses, Keras 3 or tf_keras (Keras 2), and all that differs between the two.

What Penstock asks of a model beyond what the two have in common is asked here.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from penstock.errors import EnvironmentProblem

KerasName = Literal["keras", "tf_keras"]
LEGACY_SWITCH = "TF_USE_LEGACY_KERAS"
"""Environment variable that makes ``tf.keras`` tf_keras, if it is 1 before TensorFlow is imported."""


def load_keras(name: KerasName) -> Keras:
    """Return the Keras that the configuration asks for.

    Raises:
        EnvironmentProblem: This process was started for the other one: ``tf.keras`` is not the Keras asked for.
    """
    from penstock.components.trainer.keras_2 import TfKeras
    from penstock.components.trainer.keras_3 import Keras3

    made: Keras = Keras3(importlib.import_module("keras")) if name == "keras" else TfKeras(_import_tf_keras())
    if tf.keras.Model is not made.module.Model:
        other, wanted = ("tf_keras", "0") if name == "keras" else ("keras", "1")
        raise EnvironmentProblem(
            f"keras: {name} needs a process of its own",
            received=f"a process in which tf.keras is {other}",
            expected=f"{LEGACY_SWITCH}={wanted} before TensorFlow and TFX are imported",
        )
    return made


class Keras(ABC):
    """One of the two packages; made by :func:`load_keras`.

    Args:
        module: The namespace that user code finds as ``context.keras``.
    """

    name: KerasName
    title: str

    def __init__(self, module: ModuleType) -> None:
        self.module = module

    def is_model(self, value: object) -> bool:
        """Return whether ``value`` is a model of this Keras."""
        return isinstance(value, self.module.Model)

    def is_foreign_model(self, value: object) -> bool:
        """Return whether ``value`` is a model of the other Keras."""
        return not self.is_model(value) and _is_a(value, "Model")

    def set_seed(self, seed: int) -> None:
        """Seed Python, NumPy, TensorFlow and this Keras."""
        self.module.utils.set_random_seed(seed)

    @contextmanager
    def precision(self, policy: str) -> Iterator[None]:
        """Make layers compute under a dtype policy, e.g. ``mixed_bfloat16``; the block's end restores the old one."""
        before = self._policy()
        self._set_policy(policy)
        try:
            yield
        finally:
            self._set_policy(before)

    def variables_of(self, model: Any) -> list[tf.Variable]:
        """Return a model's state without metrics and optimizer, always in the same order.

        The weights, then the state of random generators. Of a sharded variable, its shards.
        """
        return [*self.weights_of(model), *_distinct(underlying(self._random_state(model)))]

    def weights_of(self, model: Any) -> list[tf.Variable]:
        """Return a model's weights, trained or not, in the order in which its layers were made."""
        metrics = {id(variable) for variable in self.metric_variables(model)}
        return [variable for variable in _distinct(underlying(model.weights)) if id(variable) not in metrics]

    def optimizer_variables(self, model: Any) -> list[tf.Variable]:
        """Return the optimizer's state: step count, learning rate, slots and loss scale."""
        return _distinct(underlying(self._optimizer_state(model.optimizer)))

    def metric_variables(self, model: Any) -> list[tf.Variable]:
        """Return the state of all metrics, the mean loss included."""
        return _distinct(underlying(v for metric in model.metrics for v in metric.variables))

    def epoch_results(self, model: Any) -> dict[str, Any]:
        """Return the metrics' current values by name; what one metric returns as a dictionary becomes several."""
        return dict(_flatten(model.get_metrics_result()))

    def learning_rate(self, model: Any) -> float:
        """Return the learning rate of the next step, also where a schedule gives it."""
        return float(tf.convert_to_tensor(model.optimizer.learning_rate))

    def reset_metrics(self, model: Any) -> None:
        """Forget what the metrics have seen."""
        model.reset_metrics()

    def resolution(self, model: Any) -> float:
        """Return the unit in the last place, at 1, of the coarsest type that a model's layers compute with."""
        types = {tf.as_dtype(layer.compute_dtype or "float32") for layer in (model, *model.layers)}
        return max((resolution(dtype) for dtype in types if dtype.is_floating), default=0.0)

    def export(self, path: Path, tracked: Iterable[Any], endpoints: Iterable[tuple[str, Any, Any]]) -> None:
        """Write a SavedModel.

        Args:
            path: A folder that does not exist yet.
            tracked: Layers and models whose state the endpoints use.
            endpoints: Name, function and the specs of its arguments, for each signature.
        """
        archive = self.module.export.ExportArchive()
        for layer in tracked:
            archive.track(layer)
        for name, function, specs in endpoints:
            archive.add_endpoint(name, function, specs)
        self._write_archive(archive, path)

    @abstractmethod
    def build(self, model: Any, batch: Any) -> None:
        """Make every variable of a compiled model: of layers, optimizer, loss and metrics.

        Variables that would otherwise be made while a training step is traced fail under some strategies, and are not
        yet there when a checkpoint is restored.

        Args:
            model: The compiled model.
            batch: One batch of (inputs, label) or (inputs, label, sample weights), as tensors or as TensorSpecs.
        """

    @abstractmethod
    def creation_scope(self, strategy: tf.distribute.Strategy) -> AbstractContextManager[None]:
        """Return the scope under which, inside the strategy's own, a model is made."""

    @abstractmethod
    def test_step(self, model: Any, batch: Any) -> None:
        """Update loss and metrics with one batch, inside a replica; it may stand in a ``tf.cond``."""

    @abstractmethod
    def restart_names(self) -> None:
        """Number the names of layers from the start, so that a model that is made twice has the same names twice."""

    @abstractmethod
    def _write_archive(self, archive: Any, path: Path) -> None: ...

    @abstractmethod
    def _random_state(self, model: Any) -> Iterable[Any]: ...

    @abstractmethod
    def _optimizer_state(self, optimizer: Any) -> Iterable[Any]: ...

    @abstractmethod
    def _policy(self) -> Any: ...

    @abstractmethod
    def _set_policy(self, policy: Any) -> None: ...


def _import_tf_keras() -> ModuleType:
    try:
        return importlib.import_module("tf_keras")
    except ImportError as error:
        raise EnvironmentProblem(
            f"tf_keras cannot be imported: {error}",
            expected="the package tf-keras of TensorFlow's own version",
            hint="install the locked requirements",
        ) from error


def is_sequential(model: object) -> bool:
    """Return whether a model of either Keras is Sequential."""
    return _is_a(model, "Sequential")


def _is_a(value: object, class_name: str) -> bool:
    """Look for a class of either Keras without importing the one that is not used."""
    return any(
        cls.__name__ == class_name and cls.__module__.partition(".")[0] in ("keras", "tf_keras")
        for cls in type(value).__mro__
    )


def underlying(variables: Iterable[Any]) -> Iterator[tf.Variable]:
    """Yield TensorFlow's variables of either Keras's, distributed or not; of a sharded one, its shards."""
    for variable in variables:
        if isinstance(variable, tf.Variable):
            yield variable
        elif hasattr(variable, "variables"):
            yield from variable.variables
        else:
            yield variable.value


def resolution(dtype: tf.DType) -> float:
    """Return the unit in the last place of a floating-point type at 1."""
    return float(2.0**-7 if dtype == tf.bfloat16 else np.finfo(dtype.as_numpy_dtype).eps)  # NumPy knows no bfloat16.


def _distinct(variables: Iterable[tf.Variable]) -> list[tf.Variable]:
    return list({id(variable): variable for variable in variables}.values())


def _flatten(results: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in results.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}_")
        else:
            yield f"{prefix}{name}", value
