"""PredictionService.Classify, Regress and MultiInference, vector by vector, through the official stubs."""

from __future__ import annotations

from tensorflow_serving.apis import classification_pb2, inference_pb2, regression_pb2

from tests.serving.conformance.grpc_vectors import (
    INVALID,
    NOT_FOUND,
    UNIMPLEMENTED,
    Vector,
    answered,
    check,
    examples,
    spec,
    table,
)

TWO = examples("x=2", "x=4")


def numbers(*values: float) -> str:
    return " ".join(f"regressions {{ value: {value} }}" for value in values)


def regressed(signature: str, *values: float, version: int = 3) -> str:
    return f"result {{ {numbers(*values)} }} {answered(signature, version)}"


def fails(name: str, signature: str, message: str, records: str = TWO) -> Vector:
    return Vector(name, spec(signature=signature) + records, code=INVALID, message=message)


COMMON = [
    Vector("no model_spec", TWO, code=INVALID, message="Missing ModelSpec"),
    Vector("no name", spec("") + TWO, code=INVALID, message="ModelSpec has no name specified."),
    Vector(
        "unknown model",
        spec("nobody") + TWO,
        code=NOT_FOUND,
        message="Servable not found for request: Latest(nobody)",
    ),
    Vector(
        "unknown version",
        spec(version=7) + TWO,
        code=NOT_FOUND,
        message="Servable not found for request: Specific(zoo, 7)",
    ),
    Vector(
        "unknown label", spec(label="beta") + TWO, code=INVALID, message="Unrecognized servable version label: beta"
    ),
    fails("unknown signature", "none", "No signature was found with the name: none"),
    fails("two inputs", "two", "Expected one input Tensor."),
]
REGRESS = [
    *COMMON,
    Vector("a column", spec(signature="regress") + TWO, regressed("regress", 3, 4)),
    Vector("a vector", spec(signature="regress_flat") + TWO, regressed("regress_flat", 3, 4)),
    Vector("one record", spec(signature="regress") + examples("x=-4"), regressed("regress", 0)),
    Vector("version by number", spec(signature="regress", version=2) + TWO, regressed("regress", 3, 4, version=2)),
    Vector("label", spec(signature="regress", label="canary") + TWO, regressed("regress", 3, 4)),
    Vector("a feature with a default", spec(signature="regress") + examples("x=2 plus=2"), regressed("regress", 4)),
    Vector(
        "a context is merged into every record",
        spec(signature="regress") + examples("x=2", "x=4", context="plus=10"),
        regressed("regress", 8, 9),
    ),
    Vector("an empty context", spec(signature="regress") + examples("x=2", context=""), regressed("regress", 3)),
    fails("no input", "regress", "Input is empty.", ""),
    fails("no record", "regress", "Input is empty.", "input { example_list {} }"),
    fails(
        "no record but a context",
        "regress",
        "Input is empty.",
        "input { example_list_with_context { context {} } }",
    ),
    fails("a missing feature", "regress", "…", examples("plus=1")),
    fails("no input called inputs", "", "No regression inputs found in SignatureDef: …"),
    fails("no output called outputs", "regress_misnamed", "No regression outputs found in SignatureDef: …"),
    fails("two outputs", "classify", "Expected one output Tensor."),
    fails(
        "two columns",
        "regress_wide",
        "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got [2,2]",
    ),
    fails("another number of rows", "regress_short", "Input batch size did not match output batch size: 2 vs. 1"),
    fails("doubles", "regress_double", "Expected output Tensor of DT_FLOAT.  Got: DT_DOUBLE"),
]


def classified(signature: str, *rows: str, version: int = 3) -> str:
    results = " ".join(f"classifications {{ {row} }}" for row in rows)
    return f"result {{ {results} }} {answered(signature, version)}"


def classes(*pairs: tuple[str, float]) -> str:
    return " ".join(f'classes {{ label: "{label}" score: {score} }}' for label, score in pairs)


BOTH = (classes(("2.0", 2), ("-2.0", -2)), classes(("4.0", 4), ("-4.0", -4)))
CLASSIFY = [
    *COMMON,
    Vector("labels and scores", spec(signature="classify") + TWO, classified("classify", *BOTH)),
    Vector(
        "labels only",
        spec(signature="classify_no_scores") + TWO,
        classified("classify_no_scores", classes(("2.0", 0), ("-2.0", 0)), classes(("4.0", 0), ("-4.0", 0))),
    ),
    Vector(
        "scores only",
        spec(signature="classify_no_classes") + TWO,
        classified("classify_no_classes", classes(("", 2), ("", -2)), classes(("", 4), ("", -4))),
    ),
    Vector(
        "version by number",
        spec(signature="classify", version=2) + TWO,
        classified("classify", *BOTH, version=2),
    ),
    Vector("label", spec(signature="classify", label="stable") + TWO, classified("classify", *BOTH, version=2)),
    Vector(
        "a context",
        spec(signature="classify_no_classes") + examples("x=1", context="plus=1"),
        classified("classify_no_classes", classes(("", 2), ("", -2))),
    ),
    fails("no input", "classify", "Input is empty.", ""),
    fails("no record", "classify", "Input is empty.", "input { example_list {} }"),
    fails("no input called inputs", "", "No classification inputs found in SignatureDef: …"),
    fails("three outputs", "classify_three", "Expected one or two output Tensors, found 3"),
    fails(
        "no output called classes or scores",
        "classify_misnamed",
        'Expected classification signature outputs to contain at least one of "classes" or "scores". Signature was: …',
    ),
    fails("a vector", "classify_flat", "Expected Tensor shape: [batch_size num_classes] but got [2]"),
    fails("doubles", "classify_double", "Expected scores Tensor of DT_FLOAT. Got: DT_DOUBLE"),
    fails("numbers for labels", "classify_numbers", "Expected classes Tensor of DT_STRING. Got: DT_FLOAT"),
    fails("another number of rows", "classify_short", "Expected scores output batch size of 2. Got: 1"),
    fails(
        "more labels than scores",
        "classify_uneven",
        "Tensors class and score should match in dim_size(1). Got 2 vs. 1",
    ),
]


def task(signature: str, method: str, name: str = "zoo", version: int | None = None) -> str:
    return f'tasks {{ {spec(name, signature, version=version)} method_name: "tensorflow/serving/{method}" }}'


def wrong(name: str, request: str, message: str) -> Vector:
    return Vector(name, request, code=INVALID, message=message)


MULTI = [
    Vector(
        "classify and regress",
        task("classify", "classify") + task("regress", "regress") + TWO,
        f"results {{ classification_result {{ {' '.join(f'classifications {{ {row} }}' for row in BOTH)} }} "
        f"{answered('classify')} }} "
        f"results {{ regression_result {{ {numbers(3, 4)} }} {answered('regress')} }}",
    ),
    Vector(
        "one task",
        task("regress", "regress", version=2) + TWO,
        f"results {{ regression_result {{ {numbers(3, 4)} }} {answered('regress', 2)} }}",
    ),
    Vector(
        "in the order of the tasks",
        task("regress_flat", "regress") + task("regress", "regress") + examples("x=2"),
        f"results {{ regression_result {{ {numbers(3)} }} {answered('regress_flat')} }} "
        f"results {{ regression_result {{ {numbers(3)} }} {answered('regress')} }}",
    ),
    wrong("no task", TWO, "ModelSpec has no name specified."),
    wrong("a task without a name", task("regress", "regress", "") + TWO, "ModelSpec has no name specified."),
    wrong(
        "a second task without a name",
        task("regress", "regress") + task("classify", "classify", "") + TWO,
        "Found ModelSpec with an empty model name.",
    ),
    wrong(
        "two models",
        task("regress", "regress") + task("classify", "classify", "half") + TWO,
        "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
    ),
    wrong(
        "a signature twice",
        task("regress", "regress") + task("regress", "regress") + TWO,
        "Duplicate evaluation of signature: regress",
    ),
    wrong(
        "unknown signature",
        task("none", "regress") + TWO,
        "Requested signature not found in model graph: none",
    ),
    Vector(
        "another method",
        task("regress", "predict") + TWO,
        code=UNIMPLEMENTED,
        message="Unsupported signature method_name: tensorflow/serving/predict",
    ),
    Vector(
        "unknown model",
        task("regress", "regress", "nobody") + TWO,
        code=NOT_FOUND,
        message="Servable not found for request: Latest(nobody)",
    ),
    wrong("no record", task("regress", "regress"), "Input is empty."),
    wrong("a classifier asked to regress", task("classify", "regress") + TWO, "Expected one output Tensor."),
    wrong(
        "the default signature is no regressor",
        task("", "regress") + TWO,
        "No regression inputs found in SignatureDef: …",
    ),
]


@table(REGRESS)
def test_regress(vector, stub):
    check(vector, stub.Regress, regression_pb2.RegressionRequest(), regression_pb2.RegressionResponse())


@table(CLASSIFY)
def test_classify(vector, stub):
    check(
        vector, stub.Classify, classification_pb2.ClassificationRequest(), classification_pb2.ClassificationResponse()
    )


@table(MULTI)
def test_multi_inference(vector, stub):
    check(vector, stub.MultiInference, inference_pb2.MultiInferenceRequest(), inference_pb2.MultiInferenceResponse())
