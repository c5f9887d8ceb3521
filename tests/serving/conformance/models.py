"""The models that the conformance vectors ask: small enough to compute every answer in the head."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

DTYPES = (
    "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool", "string",
    "float16", "bfloat16", "complex64", "complex128",
)  # fmt: skip


QUANTIZED = {"qint8": "int8", "quint8": "uint8", "qint16": "int16", "quint16": "uint16", "qint32": "int32"}
"""Types that models answer with, and the plain integers that they are made of."""


def export_zoo(folder: Path, versions: Sequence[int]) -> None:
    """Export versions whose default signature is ``y = x / 2 + 1 + version``; so 2 is TF Serving's own example.

    The other signatures have the name of what they show: ``two`` inputs, ``echo_int8``, ``classify_no_scores``, ….
    """
    import tensorflow as tf

    module = tf.Module()
    module.offset = tf.Variable(0.0)
    signatures = _signatures(module.offset)
    for version in versions:
        module.offset.assign(version + 1)
        tf.saved_model.save(module, str(folder / str(version)), signatures=signatures)


def _signatures(offset: Any) -> dict[str, Callable[..., Any]]:
    import tensorflow as tf

    floats = tf.TensorSpec([None], tf.float32)
    grid = tf.TensorSpec([None, 3], tf.float32)
    text = tf.TensorSpec([None], tf.string)
    signatures = {
        "serving_default": _function(lambda x: {"y": x / 2 + offset}, x=floats),
        "two": _function(lambda a, b: {"sum": a + b, "difference": a - b}, a=floats, b=floats),
        "scalar": _function(lambda x: {"y": x * 2}, x=tf.TensorSpec([], tf.float32)),
        "matrix": _function(lambda x: {"y": tf.reduce_sum(x, axis=1)}, x=grid),
        "mixed": _function(
            lambda x: {"rows": x, "total": tf.reduce_sum(x), "text_bytes": tf.strings.as_string(x)}, x=floats
        ),
        "words": _function(lambda s: {"s": s, "s_bytes": s, "length": tf.strings.length(s)}, s=text),
        "word": _function(lambda s: {"s": s, "s_bytes": s}, s=tf.TensorSpec([], tf.string)),
        "number": _function(lambda s: {"y": tf.strings.to_number(s)}, s=text),
        "divide": _function(lambda x: {"y": 10 // x}, x=tf.TensorSpec([None], tf.int32)),
        **{
            f"echo_{name}": _function(lambda x: {"y": tf.identity(x)}, x=tf.TensorSpec(None, tf.as_dtype(name)))
            for name in DTYPES
        },
        **{
            f"as_{name}": _function(lambda x, name=name: {"y": tf.bitcast(x, name)}, x=tf.TensorSpec([None], plain))
            for name, plain in QUANTIZED.items()
        },
        **_example_signatures(),
    }
    return {name: function.get_concrete_function() for name, function in signatures.items()}


def _example_signatures() -> dict[str, Any]:
    import tensorflow as tf

    text = tf.TensorSpec([None], tf.string)

    def values(inputs: Any) -> Any:
        features = {
            "x": tf.io.FixedLenFeature([1], tf.float32),
            "plus": tf.io.FixedLenFeature([1], tf.float32, default_value=[0.0]),
        }
        parsed = tf.io.parse_example(inputs, features)
        return parsed["x"] + parsed["plus"]

    def on_examples(answer: Callable[[Any], dict[str, Any]]) -> Any:
        return _function(lambda inputs: answer(values(inputs)), inputs=text)

    def classes(x: Any) -> Any:
        return tf.strings.as_string(tf.concat([x, -x], 1), precision=1)

    return {
        "regress": on_examples(lambda x: {"outputs": x / 2 + 2}),
        "regress_flat": on_examples(lambda x: {"outputs": tf.reshape(x, [-1]) / 2 + 2}),
        "regress_wide": on_examples(lambda x: {"outputs": tf.concat([x, x], 1)}),
        "regress_double": on_examples(lambda x: {"outputs": tf.cast(x, tf.float64)}),
        "regress_short": on_examples(lambda x: {"outputs": x[:1]}),
        "regress_misnamed": on_examples(lambda x: {"result": x}),
        "classify": on_examples(lambda x: {"classes": classes(x), "scores": tf.concat([x, -x], 1)}),
        "classify_no_scores": on_examples(lambda x: {"classes": classes(x)}),
        "classify_no_classes": on_examples(lambda x: {"scores": tf.concat([x, -x], 1)}),
        "classify_flat": on_examples(lambda x: {"scores": tf.reshape(x, [-1])}),
        "classify_double": on_examples(lambda x: {"scores": tf.cast(x, tf.float64)}),
        "classify_numbers": on_examples(lambda x: {"classes": x}),
        "classify_short": on_examples(lambda x: {"scores": x[:1]}),
        "classify_uneven": on_examples(lambda x: {"classes": classes(x), "scores": x}),
        "classify_misnamed": on_examples(lambda x: {"labels": classes(x)}),
        "classify_three": on_examples(lambda x: {"classes": classes(x), "scores": x, "more": x}),
    }


def _function(function: Callable[..., Any], **specs: Any) -> Any:
    import tensorflow as tf

    names = list(specs)
    for name, spec in specs.items():
        specs[name] = tf.TensorSpec(spec.shape, spec.dtype, name=name)
    # tf.function names a signature's inputs after the arguments, so the arguments must be those of the lambda.
    return tf.function(function, input_signature=[specs[name] for name in names])
