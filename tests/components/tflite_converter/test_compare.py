"""The same rows for all models."""

import numpy as np
import pytest

from penstock.components.tflite_converter.compare import Judge, compare
from penstock.components.tflite_converter.rows import Batch
from penstock.errors import ArtifactError


class Model:
    """Answers with what it was made with, batch after batch, for every signature."""

    def __init__(self, *answers):
        self._answers = [np.array(answer, np.float32) for answer in answers]
        self._next = 0

    def ask(self, signature, inputs):
        answer = self._answers[self._next % len(self._answers)]
        self._next += 1
        return {"y": answer}


def batch(labels, signatures=("predict",)):
    inputs = {name: {"x": np.zeros((len(labels), 1))} for name in signatures}
    return Batch(inputs, np.array(labels))


WANT = [[0.9, 0.1], [0.2, 0.8]]
GOT = [[0.8, 0.2], [0.6, 0.4]]


def test_differences_flips_and_the_metric():
    found = compare(Model(WANT), {"int8": Model(GOT)}, [batch([0, 1])], Judge("accuracy"))
    assert (found.rows, found.metric) == (2, 1.0)
    int8 = found.by_model["int8"]
    assert int8.max_abs_error == pytest.approx(0.4)
    assert int8.mean_abs_error == pytest.approx(0.25)
    assert (int8.class_flips, int8.metric) == (1, 0.5)


def test_batches_and_signatures_add_up_and_the_first_signature_has_the_metric():
    batches = [batch([0, 1], ("a", "b")), batch([0, 0], ("a", "b"))]
    model = Model(WANT, GOT, GOT, WANT)
    found = compare(Model(WANT), {"int8": model}, batches, Judge("accuracy"))
    assert found.rows == 4
    assert found.by_model["int8"].class_flips == 2
    assert found.metric == 0.75
    assert found.by_model["int8"].metric == 1.0


def test_one_number_a_row_has_no_class_to_flip():
    found = compare(Model([[1.0], [2.0]]), {"int8": Model([[1.5], [2.0]])}, [batch([1.0, 3.0])], Judge("mse"))
    assert found.by_model["int8"].class_flips is None
    assert (found.metric, found.by_model["int8"].metric) == (0.5, 0.625)


def test_without_a_metric_labels_do_not_matter():
    without = Batch(batch([0, 1]).inputs, labels=None)
    found = compare(Model(WANT), {"int8": Model(WANT)}, [without], Judge(None))
    assert (found.metric, found.by_model["int8"].metric, found.by_model["int8"].max_abs_error) == (None, None, 0.0)


def test_nan_equals_nan_and_nothing_else():
    nan = float("nan")
    found = compare(Model([[nan, 1.0]]), {"int8": Model([[nan, 1.0]])}, [batch([0])], Judge(None))
    assert found.by_model["int8"].max_abs_error == 0
    found = compare(Model([[0.0, 1.0]]), {"int8": Model([[nan, 1.0]])}, [batch([0])], Judge(None))
    assert found.by_model["int8"].max_abs_error == float("inf")


def test_infinity_equals_infinity():
    inf = float("inf")
    found = compare(Model([[inf, 1.0]]), {"int8": Model([[inf, 1.0]])}, [batch([0])], Judge(None))
    assert found.by_model["int8"].max_abs_error == 0


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (None, "the signature has several outputs\n  received: a, b\n  expected: `output`: the one that the metric"),
        ("c", "there is no output 'c'\n  received: a, b\n  expected: `output`: the one that the metric"),
    ],
)
def test_which_output_is_judged(output, message):
    answers = {"a": np.zeros(1), "b": np.ones(1)}
    assert Judge("mse", "b").pick(answers).tolist() == [1]
    with pytest.raises(ArtifactError) as raised:
        Judge("mse", output).pick(answers)
    assert str(raised.value).startswith(message)
