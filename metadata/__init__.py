"""Read-only questions to ML Metadata."""

import os

from penstock.metadata.records import Artifact, Execution
from penstock.metadata.store import Store

# ML Metadata's PostgreSQL client tells of every connection on standard error; what goes wrong is raised as well.
os.environ.setdefault("GLOG_minloglevel", "3")

__all__ = ["Artifact", "Execution", "Store"]
