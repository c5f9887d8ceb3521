"""Read-only questions to ML Metadata."""

from penstock.metadata.store import Artifact, Execution, Store

__all__ = ["Artifact", "Execution", "Store"]
