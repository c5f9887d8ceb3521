from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penstock.serving.errors import Code, ServingError
from penstock.serving.models.loader import load_servable
from penstock.serving.models.servable import Servable

X = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)


@pytest.fixture(scope="module")
def servable(exported: Path) -> Iterator[Servable]:
    servable = load_servable("m", 7, exported)
    yield servable
    servable.close()


def test_what_it_says_of_itself(servable: Servable):
    assert (servable.name, servable.version) == ("m", 7)
    assert sorted(servable.signatures) == [
        *("__saved_model_init_op", "classify", "number", "regress", "serving_default", "single"),
    ]
    assert servable.signatures["serving_default"].method_name == "tensorflow/serving/predict"
    assert list(servable.meta_graph.tags) == ["serve"]
    assert servable.batched == frozenset()


def test_all_outputs_by_name(servable: Servable):
    answer = servable.run("serving_default", {"x": X})
    assert list(answer) == ["rows", "y"]
    assert answer["y"].tolist() == [[5.0], [11.0]]
    assert answer["rows"].tolist() == [2, 2]


@pytest.mark.parametrize("outputs", [["y"], ["rows", "y"], ["y", "rows"]])
def test_chosen_outputs_in_their_order(servable: Servable, outputs: list[str]):
    assert list(servable.run("serving_default", {"x": X}, outputs)) == outputs


def test_strings(servable: Servable):
    answer = servable.run("number", {"word": np.array([b"b", b"?"], object)})
    assert answer["number"].tolist() == [2, -1]
    assert answer["word"].tolist() == [b"b", b"?"]


def test_a_model_of_tensorflow_1(exported_v1: Path, caplog: pytest.LogCaptureFixture):
    servable = load_servable("old", 1, exported_v1)
    x = np.array([2.0], np.float32)
    assert servable.run("serving_default", {"x": x}, ["y"])["y"].tolist() == [6.0]
    # TensorFlow takes no output that is an input unchanged, here as in TF Serving.
    with pytest.raises(ServingError) as caught:
        servable.run("serving_default", {"x": x})
    assert (caught.value.code, caught.value.message) == (Code.INVALID_ARGUMENT, "x:0 is both fed and fetched.")
    assert "the signature serving_default of old cannot be run: x:0 is both fed and fetched." in caplog.text
    servable.close()


@pytest.mark.parametrize(
    ("signature", "inputs", "outputs", "code", "message"),
    [
        ("none", {"x": X}, [], Code.FAILED_PRECONDITION, 'Serving signature key "none" not found.'),
        (
            "serving_default",
            {"z": X},
            [],
            Code.INVALID_ARGUMENT,
            (
                "input size does not match signature: 1!=1 len({z}) != len({x}). Sent extra: {z}. "
                "Missing but required: {x}."
            ),
        ),
        (
            "serving_default",
            {},
            [],
            Code.INVALID_ARGUMENT,
            "input size does not match signature: 0!=1 len({}) != len({x}). Sent extra: {}. Missing but required: {x}.",
        ),
        (
            "serving_default",
            {"x": X},
            ["z"],
            Code.INVALID_ARGUMENT,
            "output tensor alias not found in signature: z Outputs expected to be in the set {rows,y}.",
        ),
        ("serving_default", {"x": X}, ["y", "y"], Code.INVALID_ARGUMENT, "duplicate output tensor alias: y"),
    ],
)
def test_requests_that_no_signature_takes(
    servable: Servable, signature: str, inputs: dict[str, Any], outputs: list[str], code: Code, message: str
):
    with pytest.raises(ServingError) as caught:
        servable.run(signature, inputs, outputs)
    assert (caught.value.code, caught.value.message) == (code, message)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (X.astype(np.int64), "Type mismatch: actual int64 vs. expect float"),
        (np.array([b"a"], object), "Type mismatch: actual string vs. expect float"),
        (np.ones((1, 3), np.float32), "Matrix size-incompatible: In[0]: [1,3], In[1]: [2,1]"),
    ],
)
def test_values_that_tensorflow_refuses(servable: Servable, value: Any, message: str):
    with pytest.raises(ServingError) as caught:
        servable.run("serving_default", {"x": value})
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert caught.value.message.startswith(message)


def test_more_choices_of_outputs_than_are_compiled_are_answered(exported: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("penstock.serving.models.servable._MOST_CALLS", 2)
    servable = load_servable("m", 1, exported)
    for outputs in (["y"], ["rows"], ["rows", "y"], ["y", "rows"]):
        assert list(servable.run("serving_default", {"x": X}, outputs)) == outputs
    assert servable.run("serving_default", {"x": X}, ["y"])["y"].tolist() == [[5.0], [11.0]]
    servable.close()


def test_many_threads_get_their_own_answers(servable: Servable):
    wrong: list[int] = []

    def ask(number: int) -> None:
        for _ in range(50):
            answer = servable.run("serving_default", {"x": np.array([[number, 0.0]], np.float32)}, ["y"])
            if answer["y"].tolist() != [[number]]:
                wrong.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_closed_version_answers_no_more(exported: Path):
    servable = load_servable("m", 1, exported)
    servable.run("serving_default", {"x": X})
    servable.close()
    servable.close()
    with pytest.raises(ServingError, match="version 1 of m is unloaded") as caught:
        servable.run("serving_default", {"x": X})
    assert caught.value.code is Code.CANCELLED
