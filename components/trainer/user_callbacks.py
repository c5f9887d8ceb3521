"""The Keras callbacks that a user's ``callbacks_fn`` returns."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from penstock.components.trainer.context import TrainerContext
from penstock.components.trainer.keras_backend import Keras
from penstock.components.trainer.outcome import Length
from penstock.errors import UserCodeError
from penstock.user_code import import_function, user_code_boundary


class UserCallbacks:
    """Keras callbacks as one, with the methods of Keras's ``CallbackList``; what they raise is told as the user's.

    Args:
        path: Import path of the function that made them, or None.
        callbacks: A ``CallbackList``.
    """

    def __init__(self, path: str | None, callbacks: Any) -> None:
        self._path = path
        self._list = callbacks

    @property
    def callbacks(self) -> list[Any]:
        """The callbacks, one by one."""
        return list(self._list.callbacks)

    def __getattr__(self, method: str) -> Callable[..., None]:
        """Return a method that calls all callbacks, such as ``on_epoch_end``."""
        return partial(self._call, method)

    def _call(self, method: str, *args: Any) -> None:
        with user_code_boundary(f"callbacks_fn {self._path!r}: {method}"):
            getattr(self._list, method)(*args)


def load_callbacks(
    path: str | None, context: TrainerContext, model: Any, keras: Keras, length: Length
) -> UserCallbacks:
    """Return the user's callbacks as one, which does nothing without a ``callbacks_fn``.

    Args:
        path: Import path of the function, or None.
        context: What the function receives.
        model: The model that callbacks see.
        keras: The model's Keras.
        length: How long the training is.

    Raises:
        UserCodeError: The function fails or returns something other than callbacks.
    """
    made = _made(path, context, keras) if path else []
    with user_code_boundary(f"callbacks_fn {path!r}"):
        callbacks = keras.module.callbacks.CallbackList(
            made,
            add_history=False,
            add_progbar=False,
            model=model,
            epochs=length.epochs,
            steps=length.steps_per_epoch,
            verbose=0,
        )
    return UserCallbacks(path, callbacks)


def _made(path: str, context: TrainerContext, keras: Keras) -> list[Any]:
    with user_code_boundary(f"callbacks_fn {path!r}"):
        returned = import_function(path)(context)
    callbacks = list(returned) if isinstance(returned, list | tuple) else [returned]
    wrong = [type(item).__name__ for item in callbacks if not isinstance(item, keras.module.callbacks.Callback)]
    if wrong:
        raise UserCodeError(
            f"callbacks_fn {path!r} returned something other than callbacks",
            received=", ".join(wrong),
            expected=f"a list of {keras.name}.callbacks.Callback",
            hint="return a list, and make the callbacks with context.keras",
        )
    return callbacks
