"""Zero-byte objects that stand for folders, which TensorFlow's file system writes into a bucket.

KFP's launcher makes a file of each when it copies the artifact for the next step, and then cannot make the folder
(kubeflow/pipelines#13476). Only steps whose Beam workers write into the bucket themselves leave any.
"""

from __future__ import annotations

from typing import Any

_SCHEME = "gs://"


def remove_markers(uri: str, client: Any = None) -> list[str]:
    """Remove the markers at and below a step's own output, and return their names; other stores have none.

    Args:
        uri: The output's URI.
        client: A ``google.cloud.storage.Client``; one with the credentials of the container when None.
    """
    if not uri.startswith(_SCHEME):
        return []
    bucket, _, prefix = uri.removeprefix(_SCHEME).rstrip("/").partition("/")
    found = [blob for blob in _client(client).list_blobs(bucket, prefix=f"{prefix}/") if _is_marker(blob)]
    for blob in found:
        blob.delete()
    return [blob.name for blob in found]


def _is_marker(blob: Any) -> bool:
    return bool(blob.name.endswith("/") and blob.size == 0)


def _client(client: Any) -> Any:
    if client is not None:
        return client
    from google.cloud import storage

    return storage.Client()
