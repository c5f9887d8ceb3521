"""Read-only questions to ML Metadata."""

from penstock.metadata.records import Artifact, Execution
from penstock.metadata.store import Store

__all__ = ["Artifact", "Execution", "Store"]
