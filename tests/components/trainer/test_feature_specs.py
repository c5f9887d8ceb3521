from __future__ import annotations

from pathlib import Path

import pytest

from penstock.errors import ArtifactError
from tests.components.trainer.data import SCHEMA


def schema(text: str):
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    return text_format.Parse(text, schema_pb2.Schema())


def test_variable_length_becomes_dense() -> None:
    import tensorflow as tf

    from penstock.components.trainer.feature_specs import dense_spec, describe, parse_spec

    raw = schema(SCHEMA)
    spec = dense_spec(parse_spec(raw), raw)
    assert spec["weight"] == tf.io.FixedLenFeature([1], tf.float32, 0)
    assert spec["tags"] == tf.io.FixedLenSequenceFeature([], tf.string, allow_missing=True, default_value="")
    assert describe(spec) == (
        "color string[1], label int64[1], point float32[2], reviewed int64[1], tags string[None], weight float32[1]"
    )


@pytest.mark.parametrize(
    ("environments", "served"),
    [
        ("", True),
        ('not_in_environment: "SERVING"', False),
        ('in_environment: "TRAINING"', False),
        ('in_environment: "SERVING"', True),
    ],
)
def test_features_outside_serving(environments: str, *, served: bool) -> None:
    from penstock.components.trainer.feature_specs import not_in_serving

    found = not_in_serving(schema(f'feature {{ name: "x" type: INT {environments} }}'))
    assert found == (frozenset() if served else {"x"})


def test_default_environments_without_serving() -> None:
    from penstock.components.trainer.feature_specs import not_in_serving

    text = 'feature { name: "x" type: INT } feature { name: "y" type: INT in_environment: "SERVING" }'
    assert not_in_serving(schema(f'{text} default_environment: "TRAINING"')) == {"x"}


def test_a_schema_that_cannot_be_read(tmp_path: Path) -> None:
    from penstock.components.trainer.feature_specs import read_schema

    with pytest.raises(ArtifactError, match=r"the schema cannot be read: .*No such file"):
        read_schema(tmp_path / "absent.pbtxt")
    (tmp_path / "schema.pbtxt").write_text("featur {}")
    with pytest.raises(ArtifactError, match=r'the schema cannot be read: .*no field named "featur"') as caught:
        read_schema(tmp_path / "schema.pbtxt")
    assert caught.value.where == str(tmp_path / "schema.pbtxt")
