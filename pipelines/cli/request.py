"""``penstock request``."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penstock.errors import ArtifactError, PenstockError
from penstock.pipelines.cli.options import example, print_json
from penstock.pipelines.cli.serving_options import In, Name, told_plainly
from penstock.serving.errors import Code, ServingError

if TYPE_CHECKING:
    from penstock.serving.client import Client

_STDIN = "-"


class Method(StrEnum):
    """What is asked of a model."""

    predict = "predict"
    classify = "classify"
    regress = "regress"
    status = "status"
    metadata = "metadata"


_ROWS = (Method.predict, Method.classify, Method.regress)


@example("penstock request digits rows.json --label stable")
def request(  # noqa: PLR0913  One argument an option.
    name: Name,
    rows: Annotated[
        str,
        typer.Argument(
            metavar="ROWS.json", help="A JSON list of rows, one row a line, or a REST body; - reads standard input."
        ),
    ] = _STDIN,
    *,
    rest: Annotated[str | None, typer.Option(metavar="URL", help="Ask over REST: http://host:port.")] = None,
    grpc: Annotated[str | None, typer.Option(metavar="HOST:PORT", help="Ask over gRPC.")] = None,
    label: Annotated[str | None, typer.Option(help="Ask the version that this label names.")] = None,
    version: Annotated[int | None, typer.Option(help="Ask this version.")] = None,
    signature: Annotated[str | None, typer.Option(help="Ask this signature.")] = None,
    method: Annotated[Method, typer.Option(help="What to ask.")] = Method.predict,
    timeout: Annotated[float, typer.Option(min=0.001, help="Seconds to wait for the answer.")] = 10.0,
    retries: Annotated[int, typer.Option(min=0, max=4, help="How often to try again when no server is there.")] = 3,
    in_: In = None,
) -> None:
    """Ask a served model and print its answer as JSON; errors go to standard error.

    Without --rest and --grpc it asks the server that 'penstock serve' started on the model.
    """
    from penstock.serving.client import Client

    with told_plainly(json=False):
        address = {"rest": rest, "grpc": grpc} if rest or grpc else {"rest": _recorded(name, in_)}
        with Client(**address, timeout=timeout, retries=retries) as client:
            target = {"version": version, "label": label, "signature": signature}
            try:
                answer = _answer(client, name, method, rows, target)
            except ServingError as error:
                raise _refused(error, client, name, target) from error
            print_json(answer)
            if version is None and label is None and method in _ROWS:
                typer.echo(_who_answered(client, name), err=True)


def _who_answered(client: Client, name: str) -> str:
    """Return which version a request that names none goes to."""
    try:
        loaded = [one.version for one in client.status(name) if one.state.name == "AVAILABLE"]
    except (ServingError, PenstockError) as error:
        return f"which version of {name} has answered is not known: {error}"
    newest = f"version {max(loaded)}" if loaded else "a version that is gone by now"
    return f"{newest} of {name} has answered, the newest that is loaded; --label or --version asks another"


def _refused(error: ServingError, client: Client, name: str, target: dict[str, Any]) -> Exception:
    """Return the server's refusal with what there is and what its signatures take, if it is the request's fault."""
    if error.code not in (Code.INVALID_ARGUMENT, Code.FAILED_PRECONDITION, Code.NOT_FOUND):
        return error
    try:
        metadata = client.metadata(name, version=target["version"], label=target["label"])
    except (ServingError, PenstockError):
        named = target["version"] is not None or target["label"] is not None
        # Of an unknown label there are no signatures to tell of.
        return _not_there(error, client, name) if named else error
    signatures = metadata["metadata"]["signature_def"]["signature_def"]
    taken = [
        f"{signature}({', '.join(sorted(inputs))})"
        for signature, definition in sorted(signatures.items())
        if (inputs := definition.get("inputs"))
    ]
    return ArtifactError(
        f"the server refused: {error.message}",
        received=error.code.name,
        expected=f"what a signature of {name} takes: {', '.join(taken)}",
        hint="choose another with --signature",
    )


def _not_there(error: ServingError, client: Client, name: str) -> Exception:
    """Return the server's refusal of a model, version or label with the versions that it has."""
    try:
        loaded = [str(one.version) for one in client.status(name) if one.state.name == "AVAILABLE"]
    except (ServingError, PenstockError):
        return error
    return ArtifactError(
        f"the server refused: {error.message}",
        received=error.code.name,
        expected=f"a version of {name} that is loaded: {', '.join(loaded) or 'none is'}",
        hint="'penstock models list' shows versions and labels",
    )


def _answer(client: Client, name: str, method: Method, rows: str, target: dict[str, Any]) -> Any:
    if method is Method.status:
        return [
            {"version": one.version, "state": one.state.name, "code": one.code.name, "message": one.message}
            for one in client.status(name, target["version"])
        ]
    if method is Method.metadata:
        return client.metadata(name, version=target["version"], label=target["label"])
    from penstock.pipelines.models.rows import body_of

    body = body_of(_text(rows), "standard input" if rows == _STDIN else rows)
    if method is Method.predict:
        return client.predict(name, instances=body.rows, inputs=body.columns, **target)
    ask = client.classify if method is Method.classify else client.regress
    return ask(name, body.examples(), **target)


def _text(rows: str) -> str:
    from penstock.errors import ConfigError

    try:
        return sys.stdin.buffer.read().decode() if rows == _STDIN else Path(rows).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError("there is no such file of rows", where=rows) from error
    except OSError as error:
        raise ConfigError(f"the rows cannot be read: {error.strerror}", where=rows) from error
    except UnicodeDecodeError as error:
        raise ConfigError("the rows are no UTF-8 text", where=rows, hint='write bytes as {"b64": "…"}') from error


def _recorded(name: str, where: list[Path] | None) -> str:
    from penstock.errors import ConfigError
    from penstock.pipelines.models.find import find_model, require_servable
    from penstock.serving.running import running_server

    model = find_model(name, where or ())
    require_servable(model)
    server = running_server(model.config)
    if server is None:
        raise ConfigError(
            f"no server that serves {name} is known here",
            hint="start one with 'penstock serve', or name one: --rest http://host:port or --grpc host:port",
        )
    return server.rest
