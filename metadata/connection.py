"""Opens a metadata store, and tells its failures in our own words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from penstock.errors import EnvironmentProblem


def open_store(sqlite: Path, *, writable: bool = False) -> Any:
    """Open the store of a pipeline; one that is not there is never made.

    Raises:
        EnvironmentProblem: There is no such file.
    """
    from ml_metadata.metadata_store import metadata_store
    from ml_metadata.proto import metadata_store_pb2 as pb

    if not sqlite.is_file():
        raise EnvironmentProblem("there is no metadata store", where=str(sqlite), hint="run the pipeline first")
    config = pb.ConnectionConfig()
    config.sqlite.filename_uri = str(sqlite)
    mode = pb.SqliteMetadataSourceConfig
    config.sqlite.connection_mode = mode.READWRITE if writable else mode.READONLY
    return metadata_store.MetadataStore(config)


@contextmanager
def explained(sqlite: Path) -> Iterator[None]:
    """Turn what ML Metadata raises inside the block into an EnvironmentProblem."""
    from ml_metadata import errors

    try:
        yield
    except (errors.StatusError, RuntimeError) as error:
        raise EnvironmentProblem(
            f"the metadata store cannot be used: {error}",
            where=str(sqlite),
            hint="another process may be writing to it: try again",
        ) from error
