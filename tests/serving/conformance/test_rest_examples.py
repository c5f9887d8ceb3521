"""SERVING.md, REST: classify and regress."""

from __future__ import annotations

from penstock.serving.server import Ports
from tests.serving.conformance.rest_vectors import Vector, bad, check, signed, table

_CLASSIFY, _REGRESS = "/v1/models/zoo:classify", "/v1/models/zoo:regress"


def _classify(name: str, signature: str, examples: str, reply: object) -> Vector:
    return Vector(name, _CLASSIFY, signed(signature, examples), reply=reply)


def _regress(name: str, signature: str, examples: str, reply: object) -> Vector:
    return Vector(name, _REGRESS, signed(signature, examples), reply=reply)


def _bad(name: str, examples: str, error: str, signature: str = "regress", path: str = _REGRESS) -> Vector:
    return bad(name, signed(signature, examples), error, path=path)


_TWO = '"examples": [{"x": 80.0}, {"x": [20.0]}]'
_WRONG_KIND = "Unexpected element type in feature: x expecting type: "


@table(
    [
        _classify("classes and scores", "classify", '"examples": [{"x": 1.5}, {"x": [2.0]}]',
                  '{\n    "results": [[["1.5", 1.5], ["-1.5", -1.5]], [["2.0", 2.0], ["-2.0", -2.0]]\n    ]\n}'),
        _classify("no scores", "classify_no_scores", '"examples": [{"x": 1.5}]',
                  {"results": [[["1.5", 0.0], ["-1.5", 0.0]]]}),
        _classify("no classes", "classify_no_classes", '"examples": [{"x": 1.5}]',
                  {"results": [[["", 1.5], ["", -1.5]]]}),
        _regress("values", "regress", _TWO, '{\n    "results": [42.0, 12.0]\n}'),
        _regress("flat", "regress_flat", _TWO, {"results": [42.0, 12.0]}),
        _regress("context", "regress", '"context": {"plus": 20.0}, "examples": [{"x": 80.0}]', {"results": [52.0]}),
        _regress("the example beats the context", "regress",
                 '"context": {"x": 1.0}, "examples": [{"x": 80.0}, {}]', {"results": [42.0, 2.5]}),
        _regress("other features", "regress", '"examples": [{"x": 80.0, "s": ["a", {"b64": "YQ=="}], "i": [1, true]}]',
                 {"results": [42.0]}),
        _regress("NaN", "regress", '"examples": [{"x": NaN}, {"x": -Infinity}]',
                 '{\n    "results": [NaN, -Infinity]\n}'),
        Vector("a version", "/v1/models/zoo/versions/2:regress", signed("regress", _TWO),
               reply={"results": [42.0, 12.0]}),
        Vector("a label", "/v1/models/zoo/labels/stable:classify",
               signed("classify_no_classes", '"examples": [{"x": 1.0}]'), reply={"results": [[["", 1.0], ["", -1.0]]]}),
    ]
)  # fmt: skip
def test_answers(ports: Ports, vector: Vector) -> None:
    assert ports.rest
    check(ports.rest, vector)


@table(
    [
        bad("empty", "", "JSON Parse error: The document is empty", path=_CLASSIFY),
        bad("array", "[]", "JSON Value: [] Is not object", path=_REGRESS),
        bad("no examples", "{}",
            "JSON Value: {} When method is classify, key 'examples' is expected and was not found", path=_CLASSIFY),
        bad("no examples, regress", "{}",
            "JSON Value: {} When method is classify, key 'examples' is expected and was not found", path=_REGRESS),
        bad("examples are no list", '{"examples": 1}',
            "JSON Value: {\n    \"examples\": 1\n} Expecting 'examples' value to be an list/array", path=_CLASSIFY),
        bad("empty list", '{"examples": []}',
            "JSON Value: {\n    \"examples\": []\n} 'examples' value is an empty array", path=_CLASSIFY),
        bad("signature is no string", '{"signature_name": null, "examples": [{}]}', "JSON Value: {…", path=_CLASSIFY),
        _bad("example is no object", '"examples": [1]', "Example must be JSON object but got JSON Number"),
        _bad("context is no object", '"context": [], "examples": [{}]',
             "Example must be JSON object but got JSON Array"),
        _bad("null", '"examples": [{"x": null}]', "Feature: x has element with unexpected JSON type: Null"),
        _bad("nested", '"examples": [{"x": [[1.0]]}]', "Feature: x has element with unexpected JSON type: Array"),
        _bad("object", '"examples": [{"x": {"a": 1}}]', "Feature: x has element with unexpected JSON type: Object"),
        _bad("float and int", '"examples": [{"x": [1.0, 1]}]', _WRONG_KIND + "float"),
        _bad("int and string", '"examples": [{"x": [1, "a"]}]', _WRONG_KIND + "int64"),
        _bad("string and float", '"examples": [{"x": ["a", 1.0]}]', _WRONG_KIND + "bytes"),
        _bad("too large", '"examples": [{"x": 9223372036854775808}]',
             "Feature: x has uint64_t element. Only int64_t is supported."),
        _bad("no base64", '"examples": [{"x": {"b64": "?"}}]', "Unable to base64 decode"),
        _bad("int where the model wants a float", '"examples": [{"x": 80}]',
             "Name: <unknown>, Key: x, Index: 0.  Data types don't match. Data type: int64 but expected type: float…"),
        _bad("feature that is missing", '"examples": [{}]',
             "Name: <unknown>, Feature: x (data type: float) is required but could not be found.…"),
        _bad("unknown signature", _TWO, "No signature was found with the name: nope", "nope"),
        _bad("unknown signature, classify", _TWO, "No signature was found with the name: nope", "nope", _CLASSIFY),
        _bad("predict signature", _TWO, "Expected one input Tensor.", "two"),
        _bad("classify with a regressor", _TWO, "Expected classification signature outputs to contain at least one …",
             "regress", _CLASSIFY),
        _bad("output of the wrong shape", _TWO,
             "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got [2,2]", "regress_wide"),
    ]
)  # fmt: skip
def test_refusals(ports: Ports, vector: Vector) -> None:
    assert ports.rest
    check(ports.rest, vector)
