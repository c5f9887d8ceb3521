"""TFX's handle on a metadata store, for one run of a pipeline. Imports TFX."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from ml_metadata.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2
from tfx.orchestration.metadata import Metadata

from penstock.metadata.connection import explained
from penstock.metadata.overlay import Overlay
from penstock.metadata.owners import Owner
from penstock.metadata.retrying import RetryingStore
from penstock.metadata.server import Server
from penstock.metadata.vocabulary import NODE, OWNER
from penstock.pipelines.runners.recovery import WORKING_FOLDER


class _Signing(MetadataStore):  # type: ignore[misc]  # ml_metadata has no types.
    """A store that writes into every new execution which run and step it belongs to."""

    def __init__(self, store: Any, owner: Owner) -> None:
        super().__init__(store)
        self._owner = owner

    def put_execution(self, execution: Any, artifact_and_events: Any, contexts: Any = None, **options: Any) -> Any:
        """Sign and write."""
        self._sign([execution], contexts or ())
        return super().put_execution(execution, artifact_and_events, contexts, **options)

    def put_lineage_subgraph(
        self, executions: Any, artifacts: Any, contexts: Any, event_edges: Any, **options: Any
    ) -> Any:
        """Sign and write."""
        self._sign(executions, contexts)
        return super().put_lineage_subgraph(executions, artifacts, contexts, event_edges, **options)

    def _sign(self, executions: Sequence[Any], contexts: Sequence[Any]) -> None:
        node = next((context.name for context in contexts if context.name.startswith(f"{self._owner.pipeline}.")), None)
        for execution in executions:
            if execution.HasField("id") or node is None:
                continue
            execution.custom_properties[NODE].string_value = node
            execution.custom_properties[OWNER].string_value = self._owner.text
            if execution.last_known_state == metadata_store_pb2.Execution.RUNNING:
                # Else TFX makes up a name that nobody knows after a kill.
                execution.custom_properties[WORKING_FOLDER].string_value = str(uuid.uuid4())


class RunStore(_Signing, RetryingStore):
    """The store of a run."""


class DryStore(_Signing, Overlay):
    """The store of a dry run: it reads one and writes to none."""


class Handle(Metadata):  # type: ignore[misc]  # TFX has no types.
    """TFX's handle: one connection for all uses of it that lie inside each other.

    Args:
        config: The store's ``ConnectionConfig``, or its server.
        owner: The run.
    """

    def __init__(self, config: Any, owner: Owner) -> None:
        super().__init__(config)
        self._owner = owner

    def __enter__(self) -> Self:
        if self._users == 0:
            self._store = self._open()
        self._users += 1
        return self

    def _open(self) -> RunStore:
        config = self._connection_config
        if isinstance(config, Server):
            return RunStore(config, self._owner)
        with explained(Path(config.sqlite.filename_uri)):
            return RunStore(config, self._owner)


class DryHandle(Handle):
    """The handle of a dry run: all uses of it see what was written in any.

    Args:
        below: The store that is read.
        owner: The dry run.
    """

    def __init__(self, below: Any, owner: Owner) -> None:
        super().__init__(None, owner)
        self._dry = DryStore(below, owner)

    def _open(self) -> Any:
        return self._dry
