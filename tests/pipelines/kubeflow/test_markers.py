"""kubeflow/pipelines#13476: markers of folders break the next step's copy of a SavedModel."""

from dataclasses import dataclass, field

import pytest

from penstock.pipelines.kubeflow.markers import remove_markers
from tests.pipelines.kubeflow.bucket import Bucket


@dataclass
class Blob:
    bucket: "Store"
    name: str
    size: int

    def delete(self) -> None:
        del self.bucket.objects[self.name]


@dataclass
class Store:
    """What of ``google.cloud.storage.Client`` is asked."""

    objects: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)

    def list_blobs(self, bucket: str, prefix: str) -> list[Blob]:
        self.asked.append((bucket, prefix))
        return [Blob(self, name, len(content)) for name, content in self.objects.items() if name.startswith(prefix)]


def test_the_launchers_copy_fails_on_a_marker_and_works_without(tmp_path):
    bucket = Bucket(tmp_path / "objects")
    for key, content in (("run/model/assets/", b""), ("run/model/assets/words.txt", b"a"), ("run/model/empty", b"")):
        bucket.write(key, content)
    with pytest.raises((FileExistsError, NotADirectoryError), match="first/assets"):
        bucket.download(tmp_path / "first", "run/model")
    store = Store({key: bucket.read(key) for key in bucket.list()})
    assert remove_markers("gs://b/run/model", store) == ["run/model/assets/"]
    assert store.asked == [("b", "run/model/")]
    cleaned = Bucket(tmp_path / "cleaned")
    for key, content in store.objects.items():
        cleaned.write(key, content)
    cleaned.download(tmp_path / "second", "run/model")
    assert (tmp_path / "second/assets/words.txt").read_bytes() == b"a"


def test_what_is_not_ours_stays():
    store = Store({"run/model2/": b"", "run/model/x/": b"content", "run/model/": b""})
    assert remove_markers("gs://b/run/model/", store) == ["run/model/"]
    assert sorted(store.objects) == ["run/model/x/", "run/model2/"]


def test_other_stores_are_not_asked():
    store = Store({"run/model/": b""})
    assert remove_markers("s3://b/run/model", store) == remove_markers("/minio/b/run/model", store) == []
    assert store.asked == []
