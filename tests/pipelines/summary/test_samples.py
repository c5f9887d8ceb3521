"""What is said of a row that the pushed model was asked about."""

import numpy as np
import pytest

from penstock.pipelines.summary.samples import _label, _sample


@pytest.mark.parametrize(
    ("label", "value", "expected"),
    [
        ("2", [0.1, 0.1, 0.8], ("2", pytest.approx(0.8), True)),
        ("0", [0.1, 0.1, 0.8], ("2", pytest.approx(0.8), False)),
        ("virginica", [0.1, 0.1, 0.8], ("2", pytest.approx(0.8), None)),
        ("2", [-3.0, 4.0, 12.5], ("2", None, True)),  # Logits.
        ("2", np.array([0.1, 0.1, 0.8], np.float16), ("2", pytest.approx(0.8, abs=1e-3), True)),
        ("1", [0.9876], ("0.9876", None, None)),
        ("3.25", [3.1], ("3.1", None, None)),
        ("0.5, 1.5", [0.4, 1.6], ("0.4, 1.6", None, None)),
        ("", np.zeros((2, 3)), ("0, 0, 0, 0, …", None, None)),
        ("4", np.array(4, np.int64), ("4", None, True)),
        ("cat", np.array(4, np.int64), ("4", None, None)),
        ("cat", np.array([b"dog"], object), ("dog", None, None)),
        ("1", [np.nan, np.nan], ("0", None, False)),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_a_row_says(label, value, expected):
    given = value if isinstance(value, np.ndarray) else np.array(value, np.float32)
    found = _sample(label, given)
    assert (found.label, found.predicted, found.probability, found.right) == (label, *expected)


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [("float_list", [0.2, 1234567.0], "0.2, 1.23457e+06"), ("int64_list", [7], "7"), ("bytes_list", [b"red"], "red")],
)
def test_a_label_as_a_person_wrote_it(kind, values, expected):
    from tensorflow.core.example import example_pb2

    example = example_pb2.Example()
    getattr(example.features.feature["label"], kind).value.extend(values)
    assert _label(example.SerializeToString(), "label") == expected
    assert _label(example.SerializeToString(), "other") == ""
