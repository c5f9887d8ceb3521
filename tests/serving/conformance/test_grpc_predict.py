"""PredictionService.Predict, vector by vector, through the official stubs."""

from __future__ import annotations

from tensorflow_serving.apis import predict_pb2

from tests.serving.conformance.grpc_vectors import (
    INVALID,
    NOT_FOUND,
    PRECONDITION,
    Vector,
    answered,
    check,
    floats,
    inputs,
    outputs,
    spec,
    table,
)

ONE_TWO = inputs(x=floats(1, 2))


def served(version: int, name: str = "zoo") -> str:
    return outputs(y=floats(0.5 + version + 1, 1 + version + 1)) + answered(version=version, name=name)


VERSIONS = [
    Vector("no version is the newest", spec() + ONE_TWO, served(3)),
    Vector("version by number", spec(version=2) + ONE_TWO, served(2)),
    Vector("newest by number", spec(version=3) + ONE_TWO, served(3)),
    Vector("label stable", spec(label="stable") + ONE_TWO, served(2)),
    Vector("label canary", spec(label="canary") + ONE_TWO, served(3)),
    Vector("another model", spec("half") + ONE_TWO, served(1, "half")),
    Vector("signature by its default name", spec(signature="serving_default") + ONE_TWO, served(3)),
    Vector(
        "unknown model",
        spec("nobody") + ONE_TWO,
        code=NOT_FOUND,
        message="Servable not found for request: Latest(nobody)",
    ),
    Vector(
        "unknown version",
        spec(version=9) + ONE_TWO,
        code=NOT_FOUND,
        message="Servable not found for request: Specific(zoo, 9)",
    ),
    Vector(
        "a version that the policy leaves out",
        spec(version=1) + ONE_TWO,
        code=NOT_FOUND,
        message="Servable not found for request: Specific(zoo, 1)",
    ),
    Vector(
        "version 0",
        spec(version=0) + ONE_TWO,
        code=NOT_FOUND,
        message="Servable not found for request: Specific(zoo, 0)",
    ),
    Vector(
        "negative version",
        spec(version=-1) + ONE_TWO,
        code=NOT_FOUND,
        message="Servable not found for request: Specific(zoo, -1)",
    ),
    Vector(
        "unknown label",
        spec(label="beta") + ONE_TWO,
        code=INVALID,
        message="Unrecognized servable version label: beta",
    ),
    Vector(
        "a label of another model",
        spec("half", label="stable") + ONE_TWO,
        code=INVALID,
        message="Unrecognized servable version label: stable",
    ),
    Vector(
        "a label whose version is not there",
        spec(label="gone") + ONE_TWO,
        code=NOT_FOUND,
        message="Servable not found for request: Specific(zoo, 1)",
    ),
    Vector("no model_spec", ONE_TWO, code=INVALID, message="Missing ModelSpec"),
    Vector("no name", spec("") + ONE_TWO, code=INVALID, message="ModelSpec has no name specified."),
    Vector("nothing at all", "", code=INVALID, message="Missing ModelSpec"),
    Vector(
        "unknown signature",
        spec(signature="none") + ONE_TWO,
        code=PRECONDITION,
        message='Serving signature key "none" not found.',
    ),
    Vector(
        "names are case-sensitive",
        spec("Zoo") + ONE_TWO,
        code=NOT_FOUND,
        message="Servable not found for request: Latest(Zoo)",
    ),
]

AB = inputs(a=floats(3, 5), b=floats(1, 2))
SUM, DIFFERENCE = outputs(sum=floats(4, 7)), outputs(difference=floats(2, 3))
WRONG_NUMBER = "input size does not match signature: "
FILTERS = [
    Vector("two inputs, all outputs", spec(signature="two") + AB, SUM + DIFFERENCE + answered("two")),
    Vector("the filter chooses", spec(signature="two") + AB + 'output_filter: "sum"', SUM + answered("two")),
    Vector(
        "the filter chooses both",
        spec(signature="two") + AB + 'output_filter: ["sum", "difference"]',
        SUM + DIFFERENCE + answered("two"),
    ),
    Vector(
        "an unknown output",
        spec(signature="two") + AB + 'output_filter: "product"',
        code=INVALID,
        message="output tensor alias not found in signature: product Outputs expected to be in the set "
        "{difference,sum}.",
    ),
    Vector(
        "an output twice",
        spec(signature="two") + AB + 'output_filter: ["sum", "sum"]',
        code=INVALID,
        message="duplicate output tensor alias: sum",
    ),
    Vector(
        "an empty name in the filter",
        spec(signature="two") + AB + 'output_filter: ""',
        code=INVALID,
        message="output tensor alias not found in signature:  Outputs expected to be in the set {difference,sum}.",
    ),
    Vector(
        "one input missing",
        spec(signature="two") + inputs(a=floats(1)),
        code=INVALID,
        message=WRONG_NUMBER + "1!=2 len({a}) != len({a,b}). Sent extra: {}. Missing but required: {b}.",
    ),
    Vector(
        "no input",
        spec(signature="two"),
        code=INVALID,
        message=WRONG_NUMBER + "0!=2 len({}) != len({a,b}). Sent extra: {}. Missing but required: {a,b}.",
    ),
    Vector(
        "one input too many",
        spec() + inputs(x=floats(1), z=floats(1)),
        code=INVALID,
        message=WRONG_NUMBER + "2!=1 len({x,z}) != len({x}). Sent extra: {z}. Missing but required: {}.",
    ),
    Vector(
        "another input",
        spec() + inputs(z=floats(1)),
        code=INVALID,
        message="Signature input alias: x(feed name: …",
    ),
    Vector(
        "the signature is looked at before the inputs",
        spec(signature="none"),
        code=PRECONDITION,
        message='Serving signature key "none" not found.',
    ),
    Vector(
        "inputs are looked at before the filter",
        spec(signature="two") + 'output_filter: "product"',
        code=INVALID,
        message=WRONG_NUMBER + "0!=2 len({}) != len({a,b}). Sent extra: {}. Missing but required: {a,b}.",
    ),
]


@table(VERSIONS)
def test_versions_and_labels(vector, stub):
    check(vector, stub.Predict, predict_pb2.PredictRequest(), predict_pb2.PredictResponse())


@table(FILTERS)
def test_inputs_and_output_filter(vector, stub):
    check(vector, stub.Predict, predict_pb2.PredictRequest(), predict_pb2.PredictResponse())
