"""The ``penstock`` command. One module a subcommand; each imports what it needs when it runs."""

import sys

__all__ = ["main"]

INTERRUPTED = 130


def main() -> None:
    """Run the command line; Ctrl-C ends it without a traceback, also while it is still importing."""
    try:
        from penstock.pipelines.cli.app import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
