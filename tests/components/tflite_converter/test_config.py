"""What may stand under ``with:``."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from penstock.components.tflite_converter.config import MODES, TFLiteConverterConfig, bytes_of, limit_of


def refused(**values):
    with pytest.raises(ValidationError) as raised:
        TFLiteConverterConfig.model_validate(values)
    error = raised.value.errors()[0]
    return error["msg"].removeprefix("Value error, ")


def test_the_defaults_convert_predict_in_every_mode():
    config = TFLiteConverterConfig()
    assert config.signatures == ("predict",)
    assert config.modes == MODES == ("float32", "dynamic_range", "float16", "int8", "int16x8")
    assert [config.io_type(mode) for mode in MODES] == ["float32", "float32", "float32", "int8", "int16"]
    assert config.batch == 1


def test_json_keeps_everything():
    gate = {"metric": "auc", "max_drop": {"int8": 0.1}, "max_size": "200kB", "required": ["int8"]}
    config = TFLiteConverterConfig.model_validate({"signature": ["a", "b"], "gate": gate, "io": {"int8": "uint8"}})
    assert TFLiteConverterConfig.model_validate_json(config.model_dump_json()) == config
    assert config.signatures == ("a", "b")


@pytest.mark.parametrize(("size", "count"), [("200kB", 200_000), ("1.5MB", 1_500_000), ("1KiB", 1024), (7, 7)])
def test_sizes(size, count):
    assert bytes_of(size) == count


@pytest.mark.parametrize("size", ["200 parsecs", "0kB", "", "-1kB", 0])
def test_a_size_that_is_none(size):
    with pytest.raises(ValueError, match=r"must be a size such as 200kB, 1\.5MB or 1MiB, or bytes; received "):
        bytes_of(size)


def test_limits_hold_for_all_modes_or_for_those_that_are_named():
    assert limit_of(0.1, "int8") == 0.1
    assert limit_of({"int8": 0.1}, "int8") == 0.1
    assert limit_of({"int8": 0.1}, "float32") is None
    assert limit_of(None, "int8") is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"gate": {"max_drop": 0.1}}, "`max_drop` needs `metric`, the metric that may drop, such as metric: accuracy"),
        ({"modes": ["int8", "int8"]}, "`modes` names int8 twice"),
        ({"signature": ["a", "a"]}, "`signature` names a twice"),
        ({"modes": ["float32"], "io": {"int8": "int8"}}, "`io` names int8, which is not among `modes` (float32)"),
        (
            {"modes": ["float32"], "gate": {"required": ["int8"]}},
            "`required` names int8, which is not among `modes` (float32)",
        ),
        (
            {"modes": ["float32"], "gate": {"max_abs_error": {"int8": 1}}},
            "`max_abs_error` names int8, which is not among `modes` (float32)",
        ),
        ({"io": {"int8": "int16"}}, "`io` of int8 is int8 or uint8 or float32; received int16"),
        ({"io": {"float16": "int8"}}, "`io` of float16 is float32; received int8"),
    ],
)
def test_what_does_not_fit_together(values, message):
    assert refused(**values) == message


def test_a_metric_that_is_not_computed():
    message = refused(gate={"metric": "acuracy"})
    assert message.startswith("no metric 'acuracy' is computed; one of accuracy, binary_accuracy, ")
    assert message.endswith("; did you mean 'accuracy'?")
    assert refused(gate={"metric": "zzz"}).endswith("mse, mae, rmse")


def test_an_unknown_mode():
    assert refused(modes=["int7"]) == "Input should be 'float32', 'dynamic_range', 'float16', 'int8' or 'int16x8'"


def test_the_transform_graph_is_wired_where_it_is_of_use():
    assert TFLiteConverterConfig().unused_inputs() == {"transform_graph"}
    assert TFLiteConverterConfig().needed_inputs() == frozenset()
    assert TFLiteConverterConfig.model_validate({"gate": {"metric": "mse"}}).unused_inputs() == frozenset()
    transformed = TFLiteConverterConfig(features="transformed")
    assert transformed.unused_inputs() == frozenset()
    assert transformed.needed_inputs() == {"transform_graph"}


def test_the_config_and_the_inspection_need_no_tensorflow():
    code = (
        "import sys; import penstock.components.tflite_converter.config, penstock.components.tflite_converter.gate, "
        "penstock.components.tflite_converter.plot; assert not {'tensorflow', 'tfx', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
