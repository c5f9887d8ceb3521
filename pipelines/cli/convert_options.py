"""Arguments and options of ``penstock convert``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SavedModel = Annotated[
    Path | None, typer.Argument(metavar="SAVED_MODEL", help="The folder of the SavedModel.", show_default=False)
]
Modes = Annotated[
    str | None, typer.Option(help="float32, dynamic_range, float16, int8, int16x8, by commas; all if not given.")
]
Representative = Annotated[
    list[Path] | None,
    typer.Option(metavar="FILE", help="TFRecord file of tf.Examples to calibrate with; may be given again."),
]
Evaluate = Annotated[
    list[Path] | None,
    typer.Option(metavar="FILE", help="TFRecord file to measure with; the representative rows if not given."),
]
Output = Annotated[
    Path | None, typer.Option("--output", metavar="DIR", help="Where the results go: a new or empty folder.")
]
Signature = Annotated[str | None, typer.Option(help="The signature to convert; predict if not given.")]
Label = Annotated[str | None, typer.Option(help="The label feature, for --set gate.metric=….")]
Parameters = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A parameter of the TFLiteConverter, such as gate.max_size=200kB."),
]
Inspect = Annotated[
    Path | None,
    typer.Option(metavar="MODEL.tflite", help="Print inputs, outputs, ops and quantization of a flatbuffer."),
]
