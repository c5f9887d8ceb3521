"""What Transform does to every wine."""

from __future__ import annotations

from typing import Any

LABEL = "cultivar"
ALCOHOL_BUCKETS = 4


def preprocessing_fn(inputs: dict[str, Any]) -> dict[str, Any]:
    """Turn measurements into z-scores, alcohol into quartiles and the colour band into an index.

    Args:
        inputs: 13 measurements, float [batch, 1]; ``color_band``, string [batch, 1]; ``cultivar``, int64 [batch, 1].

    Returns:
        The measurements as z-scores, float32 [batch, 1]; ``alcohol_bucket``, int64 0..3; ``color_band``, int64 0..3,
        where 3 is a band that training has not seen; ``cultivar`` as it is.
    """
    import tensorflow as tf
    import tensorflow_transform as tft

    measurements = {name: value for name, value in inputs.items() if value.dtype == tf.float32}
    return {
        **{name: tft.scale_to_z_score(value) for name, value in measurements.items()},
        "alcohol_bucket": tft.bucketize(inputs["alcohol"], ALCOHOL_BUCKETS),
        "color_band": tft.compute_and_apply_vocabulary(inputs["color_band"], num_oov_buckets=1),
        LABEL: inputs[LABEL],
    }
