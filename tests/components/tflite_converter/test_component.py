"""The component as TFX sees it; its names are data in ML Metadata."""

from tfx.types import channel, standard_artifacts

from penstock.components.artifacts import TFLiteModel
from penstock.components.tflite_converter.component import TFLiteConverter
from penstock.components.tflite_converter.config import TFLiteConverterConfig


def test_the_spec():
    config = TFLiteConverterConfig(modes=("int8",))
    component = TFLiteConverter(
        model=channel.Channel(type=standard_artifacts.Model),
        examples=channel.Channel(type=standard_artifacts.Examples),
        config=config,
    )
    assert component.type == "penstock.components.tflite_converter.component.TFLiteConverter"
    assert component.outputs["tflite_model"].type is TFLiteModel
    assert TFLiteConverterConfig.model_validate_json(component.exec_properties["config"]) == config
    assert set(component.inputs) == {"model", "examples"}


def test_the_artifact_type():
    assert TFLiteModel.TYPE_NAME == "TFLiteModel"
    assert {name: kind.type.name for name, kind in TFLiteModel.PROPERTIES.items()} == {
        **dict.fromkeys(["mode", "reason", "digest", "signatures", "metric"], "STRING"),
        **dict.fromkeys(["blessed", "size_bytes", "class_flips", "arena_bytes"], "INT"),
        **dict.fromkeys(["metric_value", "baseline_value", "drop", "max_abs_error", "mean_abs_error"], "FLOAT"),
        **dict.fromkeys(["latency_p50_us", "latency_ratio"], "FLOAT"),
    }
