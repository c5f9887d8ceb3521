"""tf_keras, which is Keras 2."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import tensorflow as tf

from penstock.components.trainer import variable_creation
from penstock.components.trainer.keras_backend import Keras, KerasName


class TfKeras(Keras):
    """tf_keras, which is Keras 2."""

    name: KerasName = "tf_keras"
    title = "tf_keras"

    def set_seed(self, seed: int) -> None:
        """Seed Python, NumPy, TensorFlow and Keras, and let dropout draw from variables, which checkpoints can hold."""
        super().set_seed(seed)
        self.module.backend.experimental.enable_tf_random_generator()

    def creation_scope(self, strategy: tf.distribute.Strategy) -> AbstractContextManager[None]:
        """Return the scope under which a model is made; see :mod:`~penstock.components.trainer.variable_creation`."""
        return variable_creation.metric_variables(strategy)

    def build(self, model: Any, batch: Any) -> None:
        """Make every variable of a compiled model; see :meth:`Keras.build`."""
        strategy = model.distribute_strategy

        def one_step(batch: Any) -> None:
            inputs, label, weights = self.module.utils.unpack_x_y_sample_weight(batch)
            outputs = model(inputs, training=False)
            model.compute_loss(inputs, label, outputs, weights)
            model.compute_metrics(inputs, label, outputs, weights)

        @tf.function(autograph=False)  # type: ignore[untyped-decorator, unused-ignore]
        def trace(batch: Any) -> None:
            strategy.run(one_step, args=(batch,))

        with strategy.scope(), self.creation_scope(strategy):
            trace.get_concrete_function(tf.nest.map_structure(_spec, batch))
            self._build_optimizer(model)

    def test_step(self, model: Any, batch: Any) -> None:
        """Update loss and metrics with one batch.

        Results are left out: to compute them replicas may wait for each other, which they cannot in a ``tf.cond``.
        """
        model.get_metrics_result = dict
        try:
            model.test_step(batch)
        finally:
            del model.get_metrics_result

    def restart_names(self) -> None:
        """Number the names of layers from the start; see :meth:`Keras.restart_names`."""
        self.module.backend.reset_uids()

    def _write_archive(self, archive: Any, path: Path) -> None:
        utils = self.module.utils
        talkative = utils.is_interactive_logging_enabled()
        utils.disable_interactive_logging()  # It prints to stdout otherwise.
        try:
            archive.write_out(str(path))
        finally:
            if talkative:
                utils.enable_interactive_logging()

    def _build_optimizer(self, model: Any) -> None:
        optimizer = model.optimizer
        if hasattr(optimizer, "build"):
            optimizer.build(model.trainable_variables)
        else:  # One of tf_keras.optimizers.legacy.
            _ = optimizer.iterations
            optimizer._create_all_weights(model.trainable_variables)  # noqa: SLF001

    def _random_state(self, model: Any) -> Iterable[Any]:
        for layer in model.submodules:
            generator = getattr(getattr(layer, "_random_generator", None), "_generator", None)
            if generator is not None:
                yield generator.state

    def _optimizer_state(self, optimizer: Any) -> Iterable[Any]:
        yield from optimizer.variables()
        if isinstance(optimizer.learning_rate, tf.Variable):
            yield optimizer.learning_rate
        if getattr(optimizer, "dynamic", False):  # A LossScaleOptimizer, which lists the inner optimizer's state only.
            scale = optimizer._loss_scale  # noqa: SLF001
            yield from (scale.current_loss_scale, scale.counter)

    def _policy(self) -> Any:
        return self.module.mixed_precision.global_policy()

    def _set_policy(self, policy: Any) -> None:
        self.module.mixed_precision.set_global_policy(policy)


def _spec(tensor: Any) -> tf.TensorSpec:
    return tf.TensorSpec(tensor.shape, tensor.dtype)
