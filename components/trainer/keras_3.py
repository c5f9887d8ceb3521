"""Keras 3 on TensorFlow."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import tensorflow as tf

from penstock.components.trainer import variable_creation
from penstock.components.trainer.keras_backend import Keras, KerasName


class Keras3(Keras):
    """Keras 3 on TensorFlow."""

    name: KerasName = "keras"
    title = "Keras 3"

    def creation_scope(self, strategy: tf.distribute.Strategy) -> AbstractContextManager[None]:
        """Return the scope under which a model is made; see :mod:`~penstock.components.trainer.variable_creation`."""
        return variable_creation.layer_variables(strategy)

    def build(self, model: Any, batch: Any) -> None:
        """Make every variable of a compiled model; see :meth:`Keras.build`."""
        strategy = model.distribute_strategy
        with strategy.scope():
            if not model.built:
                inputs, _, _ = self.module.utils.unpack_x_y_sample_weight(batch)
                with self.creation_scope(strategy):
                    model(self.module.tree.map_structure(self._symbolic, inputs), training=False)
            # Slots are updated on all replicas at once: they must not come under the creation scope.
            model.optimizer.build(model.trainable_variables)
            # Private, but the only way: loss and metrics otherwise make their variables inside the traced step, which
            # fails under MirroredStrategy with "You must feed a value for placeholder". `fit` calls it as well.
            with variable_creation.metric_variables(strategy):
                model._symbolic_build(data_batch=batch)  # noqa: SLF001

    def test_step(self, model: Any, batch: Any) -> None:
        """Update loss and metrics with one batch."""
        model.test_step(batch)

    def restart_names(self) -> None:
        """Number the names of layers from the start; see :meth:`Keras.restart_names`."""
        policy = self._policy()
        self.module.utils.clear_session(free_memory=False)  # It forgets the policy as well.
        self._set_policy(policy)

    def _write_archive(self, archive: Any, path: Path) -> None:
        archive.write_out(str(path), verbose=False)

    def _symbolic(self, tensor: Any) -> Any:
        return self.module.KerasTensor(tensor.shape, tensor.dtype.name)

    def _random_state(self, model: Any) -> Iterable[Any]:
        weights = {id(variable) for variable in model.weights}
        return [variable for variable in model.variables if id(variable) not in weights]

    def _optimizer_state(self, optimizer: Any) -> Iterable[Any]:
        return optimizer.variables  # type: ignore[no-any-return]

    def _policy(self) -> Any:
        return self.module.config.dtype_policy()

    def _set_policy(self, policy: Any) -> None:
        self.module.config.set_dtype_policy(policy)
