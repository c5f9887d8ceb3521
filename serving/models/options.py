"""What can be chosen about how a server keeps its models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from penstock.serving.batching_config import BatchingOptions


@dataclass(frozen=True)
class ManagerOptions:
    """How models are found, loaded and replaced; the defaults are TF Serving's.

    Attributes:
        poll_seconds: Seconds between two looks at the file system; 0: one look, negative: none.
        load_retries: How often a load that failed is tried again. Files that are not what was published are not.
        retry_seconds: Seconds between two tries.
        transition: ``availability_preserving`` loads the new version before the old one goes,
            ``resource_preserving`` unloads the old one first.
        batching: How requests are batched; None: not at all.
        per_model_batching: Batch each model as its own ``batching_params.pbtxt`` says, and one without such a file not
            at all; ``batching`` then only says how many threads run batches.
        allow_labels_for_unavailable: Let a new label point to a version that is not available (yet).
        load_threads: Versions that are loaded at the same time, not counting those that nobody wants any more.
        warm_up: Replay the warm-up requests that a SavedModel brings.
        drain_seconds: Seconds that an unload waits for requests that still run; None: as long as they take.
        wait_seconds: Seconds that a reload waits for new models; None: as long as it takes.
    """

    poll_seconds: float = 1.0
    load_retries: int = 5
    retry_seconds: float = 60.0
    transition: Literal["availability_preserving", "resource_preserving"] = "availability_preserving"
    batching: BatchingOptions | None = None
    per_model_batching: bool = False
    allow_labels_for_unavailable: bool = False
    load_threads: int = 1
    warm_up: bool = True
    drain_seconds: float | None = None
    wait_seconds: float | None = None
