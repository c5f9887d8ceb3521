"""The SavedModel that flatbuffers are measured against."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tensorflow as tf

from penstock.closest import did_you_mean
from penstock.errors import ArtifactError
from penstock.serving.saved_model import SignatureInfo, read_signatures, tensorflow_message

if TYPE_CHECKING:
    from numpy.typing import NDArray

_EXPORT = "export one of transformed features by the Trainer's `serving_fn`, and set `features: transformed`"


def convertible(saved_model: Path, names: Sequence[str]) -> tuple[SignatureInfo, ...]:
    """Return the named signatures of a SavedModel.

    Raises:
        ArtifactError: The folder holds no SavedModel, or not these signatures, or one takes text.
    """
    signatures = {signature.name: signature for signature in read_signatures(saved_model)}
    fit = [described(signature) for signature in signatures.values() if _obstacle(signature) is None]
    expected = f"one of {', '.join(fit)}" if fit else "a signature that takes numbers by name"
    for name in names:
        if name not in signatures:
            raise ArtifactError(
                f"the SavedModel has no signature {name!r}",
                where=str(saved_model),
                received=f"signatures {', '.join(signatures) or 'none'}",
                expected=expected,
                hint=did_you_mean(name, signatures),
            )
        obstacle = _obstacle(signatures[name])
        if obstacle is not None:
            raise ArtifactError(
                f"signature {name!r} cannot be converted: {obstacle}",
                where=str(saved_model),
                received=described(signatures[name]),
                expected=expected,
                hint=None if fit else _EXPORT,
            )
    return tuple(signatures[name] for name in names)


def described(signature: SignatureInfo) -> str:
    """Return a signature as a person would write it: ``predict(image: float32)``."""
    return f"{signature.name}({', '.join(f'{tensor.name}: {tensor.dtype}' for tensor in signature.inputs)})"


def _obstacle(signature: SignatureInfo) -> str | None:
    if not signature.inputs:
        return "it takes no inputs"
    text = [tensor.name for tensor in signature.inputs if tensor.dtype == "string"]
    if text:
        return f"its input {', '.join(text)} is text, which is parsed by ops that LiteRT has not"
    if any(tensor.shape is None or not tensor.shape for tensor in signature.inputs):
        return "the shape of its inputs is not known"
    return None


class Original:
    """A SavedModel in this process, asked through its signatures."""

    def __init__(self, saved_model: Path) -> None:
        self._where = str(saved_model)
        try:
            self._loaded = tf.saved_model.load(str(saved_model))
        except (OSError, ValueError, tf.errors.OpError) as error:
            raise self._failed("the SavedModel cannot be loaded", error) from error

    def ask(self, signature: str, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Return output → array for input → array, the rows first.

        Raises:
            ArtifactError: TensorFlow cannot compute the answer.
        """
        try:
            return self.call(signature, inputs)()
        except (ValueError, TypeError, tf.errors.OpError) as error:
            raise self._failed(f"signature {signature!r} cannot answer", error) from error

    def call(self, signature: str, inputs: Mapping[str, NDArray[Any]]) -> Callable[[], dict[str, NDArray[Any]]]:
        """Return a function that makes one call with inputs that are tensors by then."""
        function = self._loaded.signatures[signature]
        tensors = {name: tf.constant(array) for name, array in inputs.items()}
        return lambda: {name: value.numpy() for name, value in function(**tensors).items()}

    def _failed(self, what: str, error: Exception) -> ArtifactError:
        return ArtifactError(f"{what}: {tensorflow_message(error)}", where=self._where)
