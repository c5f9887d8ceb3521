"""What is said of a row that the pushed model was asked about."""

import numpy as np
import pytest

from penstock.pipelines.summary.samples import Sample, _label, _sample


@pytest.mark.parametrize(
    ("label", "value", "expected"),
    [
        ("2", [0.1, 0.1, 0.8], Sample("2", "2", pytest.approx(0.8), right=True)),
        ("0", [0.1, 0.1, 0.8], Sample("0", "2", pytest.approx(0.8), right=False)),
        ("virginica", [0.1, 0.1, 0.8], Sample("virginica", "2", pytest.approx(0.8), right=None)),
        ("2", [-3.0, 4.0, 12.5], Sample("2", "2", None, right=True)),  # Logits.
        ("2", np.array([0.1, 0.1, 0.8], np.float16), Sample("2", "2", pytest.approx(0.8, abs=1e-3), right=True)),
        ("1", [0.9876], Sample("1", "0.9876", None, right=None)),
        ("3.25", [3.1], Sample("3.25", "3.1", None, right=None)),
        ("0.5, 1.5", [0.4, 1.6], Sample("0.5, 1.5", "0.4, 1.6", None, right=None)),
        ("", np.zeros((2, 3)), Sample("", "0, 0, 0, 0, …", None, right=None)),
        ("4", np.array(4, np.int64), Sample("4", "4", None, right=True)),
        ("cat", np.array(4, np.int64), Sample("cat", "4", None, right=None)),
        ("cat", np.array([b"dog"], object), Sample("cat", "dog", None, right=None)),
        ("1", [np.nan, np.nan], Sample("1", "0", None, right=False)),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_a_row_says(label, value, expected):
    given = value if isinstance(value, np.ndarray) else np.array(value, np.float32)
    assert _sample(label, given) == expected


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
