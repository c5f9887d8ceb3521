"""What Transform does to every digit."""

from __future__ import annotations

import math
from typing import Any


def preprocessing_fn(inputs: dict[str, Any]) -> dict[str, Any]:
    """Scale the pixels to 0..1 over all training images and make the image square.

    Args:
        inputs: ``image``, float [batch, side * side], and ``label``, int64 [batch, 1].

    Returns:
        ``image``, float32 [batch, side, side, 1], and ``label`` as it is.
    """
    import tensorflow as tf
    import tensorflow_transform as tft

    side = math.isqrt(inputs["image"].shape[1])
    image = tf.reshape(tft.scale_to_0_1(inputs["image"]), [-1, side, side, 1])
    return {"image": image, "label": inputs["label"]}
