"""Runs a subcommand in this process."""

from __future__ import annotations

from typing import Any

from typer.testing import CliRunner

from penstock.pipelines.cli.app import app


def invoke(*args: object, **options: Any) -> Any:
    """Return what the command printed and how it ended."""
    return CliRunner().invoke(app, [str(arg) for arg in args], **options)
