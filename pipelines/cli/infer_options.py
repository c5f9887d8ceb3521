"""Options of ``penstock infer``."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from penstock.components.batch_inference.words import Compression, InputFormat, OutputFormat

Model = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="MODEL",
        help="A SavedModel's folder or URL, or a pushed model: NAME@LABEL, NAME/VERSION or NAME.",
    ),
]
Inputs = Annotated[
    list[str],
    typer.Option("--input", metavar="GLOB", help="Input files: a path, folder, URL or quoted glob; may be repeated."),
]
Output = Annotated[
    str | None,
    typer.Option("--output", metavar="DIR", help="The folder of the results, or its URL; it appears when complete."),
]
InputFormatOption = Annotated[
    InputFormat | None, typer.Option("--input-format", help="What the input files hold, if their names do not say.")
]
Columns = Annotated[
    str | None,
    typer.Option("--columns", metavar="A,B", help="Names of the columns of CSV without a header, or of JSON lists."),
]
Key = Annotated[str | None, typer.Option("--key", metavar="COLUMN", help="The column that identifies a row.")]
OutputFormatOption = Annotated[OutputFormat, typer.Option("--output-format", help="What the result files hold.")]
CompressionOption = Annotated[
    Compression | None, typer.Option("--compression", help="How the result files are compressed.")
]
Include = Annotated[
    str | None, typer.Option("--include", metavar="A,B", help="Columns of the input to pass through; * is all.")
]
Outputs = Annotated[str | None, typer.Option("--outputs", metavar="A,B", help="Outputs of the signature to write.")]
Signature = Annotated[str, typer.Option("--signature", help="The signature that is asked.")]
MaxRows = Annotated[int, typer.Option("--max-rows", min=1, help="Rows of a batch, at most.")]
MaxErrorRate = Annotated[
    float, typer.Option("--max-error-rate", min=0, max=1, help="Share of rows that may be bad; 1 takes any number.")
]
Nan = Annotated[
    Literal["error", "keep"], typer.Option("--nan", help="Rows with a NaN: into the errors file, or kept as they are.")
]
Server = Annotated[
    str | None,
    typer.Option("--grpc", metavar="HOST:PORT", help="Ask this server, which has the model, instead of loading it."),
]
Runner = Annotated[str, typer.Option("--runner", help="The Beam runner: direct, dataflow, flink, or any of Beam's.")]
Beam = Annotated[
    list[str] | None,
    typer.Option("--beam", metavar="KEY=VALUE", help="A flag of Beam without its dashes; may be repeated."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace complete results of another run.")]
Explain = Annotated[
    bool, typer.Option("--explain", help="Print what feeds which input of the signature; score nothing.")
]
