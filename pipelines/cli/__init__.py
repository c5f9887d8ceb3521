"""The ``penstock`` command. One module a subcommand; each imports what it needs when it runs."""

from penstock.pipelines.cli.app import main

__all__ = ["main"]
