from __future__ import annotations

import copy
import pickle

import pytest

from penstock.components.trainer.context import HParams, TrainerContext, UnknownHParamError


def test_hparams_by_attribute_and_item() -> None:
    hparams = HParams({"units": 64, "get_rate": 0.1})
    assert (hparams.units, hparams["units"], hparams.get("depth", 2), dict(hparams)) == (
        64,
        64,
        2,
        {"units": 64, "get_rate": 0.1},
    )
    assert getattr(hparams, "depth", 3) == 3
    assert "units" in hparams
    assert repr(hparams) == "HParams({'units': 64, 'get_rate': 0.1})"


def test_an_unknown_hparam_names_the_closest() -> None:
    hparams = HParams({"units": 64, "rate": 0.1})
    message = r"^no hyperparameter 'unit' under hparams; known: rate, units; did you mean 'units'\?$"
    with pytest.raises(UnknownHParamError, match=message):
        _ = hparams.unit
    with pytest.raises(KeyError, match="did you mean 'units'"):
        _ = hparams["unit"]
    with pytest.raises(AttributeError, match=r"known: none$"):
        _ = HParams({}).units


def test_hparams_are_read_only() -> None:
    with pytest.raises(AttributeError, match="hparams are read-only; cannot set 'units' to 3"):
        HParams({"units": 64}).units = 3


def test_hparams_can_be_copied() -> None:
    hparams = HParams({"units": 64})
    assert copy.deepcopy(hparams) == hparams
    assert pickle.loads(pickle.dumps(hparams)).units == 64


def test_inputs_follow_the_feature_spec() -> None:
    import keras
    import tensorflow as tf
    from tensorflow_metadata.proto.v0 import schema_pb2

    context = TrainerContext(
        hparams=HParams({}),
        feature_spec={
            "image": tf.io.FixedLenFeature([8, 8, 1], tf.float32),
            "tags": tf.io.FixedLenSequenceFeature([], tf.string, allow_missing=True),
            "age": tf.io.FixedLenFeature([], tf.int64),
        },
        label="label",
        schema=schema_pb2.Schema(),
        tf_transform_output=None,
        num_replicas=2,
        global_batch_size=32,
    )
    assert (context.keras, context.num_workers) == (keras, 1)
    described = {name: (tensor.shape, tensor.dtype, tensor.name) for name, tensor in context.inputs().items()}
    assert described == {
        "image": ((None, 8, 8, 1), "float32", "image"),
        "tags": ((None, None), "string", "tags"),
        "age": ((None,), "int64", "age"),
    }
