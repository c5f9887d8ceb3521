"""A model as ``model_fn`` makes it without any strategy: the twin of one that is trained under a strategy.

What a strategy leaves in a model (variables on other machines, one copy a device, shards) is of no use to a server, nor
to Keras's own loading of weights.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from penstock.components.trainer.context import TrainerContext
from penstock.components.trainer.keras_backend import Keras
from penstock.components.trainer.model import build_model
from penstock.components.trainer.model_state import ModelState, load_state
from penstock.user_code import user_code_boundary


def untrained_twin(path: str, context: TrainerContext, *, keras: Keras, batch: Any) -> Any:
    """Call ``model_fn`` again; must be called outside of all strategies' scopes.

    Args:
        path: Import path of the model_fn.
        context: What it received for the training.
        keras: The Keras that the model must be of.
        batch: One batch of the training data, as for :meth:`Keras.build`.

    Raises:
        UserCodeError: ``model_fn`` fails this time.
    """
    keras.restart_names()
    model = build_model(path, context, tf.distribute.get_strategy(), keras)
    with user_code_boundary(f"building the model of {path!r}"):
        keras.build(model, batch)
    return model


def undistributed(path: str, context: TrainerContext, state: ModelState, *, keras: Keras, batch: Any) -> Any:
    """Return the twin with the trained state, to be exported; arguments as for :func:`untrained_twin`.

    Raises:
        UserCodeError: ``model_fn`` fails this time, or makes another model than the first time.
    """
    model = untrained_twin(path, context, keras=keras, batch=batch)
    load_state(model, state, keras, path)
    return model
