"""A training module as TFX's own Trainer takes it (``run_fn``); it needs nothing of Penstock.

It reads transformed examples, and Penstock wires them. TFX's Trainer takes raw ones just as well, and the model then
learns from other numbers than it is asked with.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from examples.digits.model import build_model

BATCH_SIZE = 64


def run_fn(fn_args: Any) -> None:
    """Train for ``fn_args.train_steps`` batches and export a model that takes serialized, raw ``tf.Example`` s.

    Args:
        fn_args: What TFX's Trainer hands over (``tfx.components.trainer.fn_args_utils.FnArgs``).
    """
    import keras
    import tensorflow_transform as tft

    transform = tft.TFTransformOutput(fn_args.transform_graph_path)
    features = transform.transformed_feature_spec()
    context = SimpleNamespace(
        keras=keras,
        inputs=lambda: {"image": keras.Input(features["image"].shape, name="image")},
        hparams=SimpleNamespace(units=64, learning_rate=0.006),
    )
    model = build_model(context)
    model.fit(
        _read(fn_args, fn_args.train_files, transform, epochs=None),
        steps_per_epoch=fn_args.train_steps,
        # A single pass: without an end, evaluation would never come back.
        validation_data=_read(fn_args, fn_args.eval_files, transform, epochs=1),
        verbose=2,
    )
    _export(model, transform, fn_args.serving_model_dir)


def _read(fn_args: Any, files: list[str], transform: Any, *, epochs: int | None) -> Any:
    from tfx_bsl.public.tfxio import TensorFlowDatasetOptions

    options = TensorFlowDatasetOptions(batch_size=BATCH_SIZE, label_key="label", num_epochs=epochs)
    return fn_args.data_accessor.tf_dataset_factory(files, options, transform.transformed_metadata.schema)


def _export(model: Any, transform: Any, folder: str) -> None:
    """Save with ``ExportArchive``: a Keras 3 model saved by ``tf.saved_model.save`` loads, but cannot predict."""
    import keras
    import tensorflow as tf

    features = transform.raw_feature_spec()
    del features["label"]
    transform_layer = transform.transform_features_layer()

    def serve(examples: Any) -> Any:
        transformed = transform_layer(tf.io.parse_example(examples, features))
        return {"probabilities": model({"image": transformed["image"]})}

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.track(transform_layer)
    archive.add_endpoint("serving_default", serve, [tf.TensorSpec([None], tf.string, name="examples")])
    archive.write_out(folder, verbose=False)
