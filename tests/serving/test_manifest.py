import json
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.errors import ArtifactError
from penstock.serving.manifest import MANIFEST, Manifest, verify, walk

FILES = {
    "saved_model.pb": b"graph",
    "fingerprint.pb": b"",
    "variables/variables.index": b"index",
    "variables/variables.data-00000-of-00001": bytes(range(256)) * 2000,
    "assets/vocabulary": b"blue\nred\n",
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model without a manifest."""
    folder = tmp_path / "model"
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def pushed(model: Path) -> Path:
    """A model with its manifest."""
    files = {name: (len(content), sha256(content).hexdigest()) for name, content in FILES.items()}
    (model / MANIFEST).parent.mkdir()
    (model / MANIFEST).write_bytes(Manifest(files).to_bytes())
    return model


def test_the_manifest_lists_every_file_sorted(pushed: Path):
    listed = json.loads((pushed / MANIFEST).read_text())
    assert list(listed["files"]) == [
        "assets/vocabulary",
        "fingerprint.pb",
        "saved_model.pb",
        "variables/variables.data-00000-of-00001",
        "variables/variables.index",
    ]
    assert listed["files"]["saved_model.pb"] == {"bytes": 5, "sha256": sha256(b"graph").hexdigest()}


def test_equal_files_give_equal_bytes_in_whatever_order():
    files = {"b": (1, "bb"), "a": (0, "aa")}
    first, second = Manifest(files), Manifest(dict(reversed(files.items())))
    assert first.digest == second.digest
    assert first.to_bytes() == second.to_bytes()
    assert Manifest.from_bytes(first.to_bytes()) == first


def test_the_digest_changes_with_a_name_a_size_or_a_byte():
    files = {"saved_model.pb": (5, "aa"), "fingerprint.pb": (0, "bb")}
    others = [
        {**files, "saved_model.pb": (6, "aa")},
        {**files, "saved_model.pb": (5, "ab")},
        {"saved_model.pbtxt": (5, "aa"), "fingerprint.pb": (0, "bb")},
        {"saved_model.pb": (5, "aa")},
    ]
    assert len({Manifest(each).digest for each in [files, *others]}) == 5


def test_folders_and_files_are_walked_in_order_and_links_are_not_followed(model: Path):
    (model / "loop").symlink_to(".")
    assert [name for name, _ in walk(model)] == [
        "assets",
        "fingerprint.pb",
        "loop",
        "saved_model.pb",
        "variables",
        "assets/vocabulary",
        "variables/variables.data-00000-of-00001",
        "variables/variables.index",
    ]


def test_an_untouched_model_verifies(pushed: Path):
    verify(pushed)


def test_all_differences_are_told_at_once(pushed: Path):
    (pushed / "assets/vocabulary").unlink()
    (pushed / "saved_model.pb").write_bytes(b"grapH")
    (pushed / "variables/stranger").touch()
    with pytest.raises(ArtifactError) as caught:
        verify(pushed)
    assert str(caught.value) == (
        f"{pushed} is not what was pushed\n"
        "  received: assets/vocabulary is missing; variables/stranger is not in the manifest; saved_model.pb has"
        " changed\n"
        "  expected: the 5 files in assets.extra/penstock_manifest.json, unchanged\n"
        "  next: push the model again as a new version and remove this one"
    )


def test_a_file_replaced_by_a_link_to_the_same_content_is_a_change(pushed: Path, tmp_path: Path):
    (pushed / "saved_model.pb").rename(tmp_path / "elsewhere")
    (pushed / "saved_model.pb").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArtifactError, match="is not what was pushed") as caught:
        verify(pushed)
    assert caught.value.received == "saved_model.pb has changed"


def test_a_model_without_a_manifest_is_an_error(model: Path):
    with pytest.raises(ArtifactError) as caught:
        verify(model)
    assert str(caught.value) == (
        f"{model} has no usable manifest\n"
        f"  received: {model}/assets.extra/penstock_manifest.json: No such file or directory\n"
        "  expected: a version that the Pusher published, unchanged\n"
        "  next: push the model again as a new version"
    )


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"files": 3}', b'{"files": {"a": 1}}', b"\xff"])
def test_a_manifest_that_is_none_is_an_error(pushed: Path, content: bytes):
    (pushed / MANIFEST).write_bytes(content)
    with pytest.raises(ArtifactError, match="has no usable manifest"):
        verify(pushed)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_one_flipped_bit_anywhere_is_found(pushed: Path, data: st.DataObject):
    names = ["saved_model.pb", "variables/variables.index", "assets/vocabulary", MANIFEST]
    path = pushed / data.draw(st.sampled_from(names))
    original = path.read_bytes()
    position = data.draw(st.integers(0, len(original) - 1))
    damaged = bytearray(original)
    damaged[position] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(damaged)
    try:
        with pytest.raises(ArtifactError, match=r"is not what was pushed|has no usable manifest"):
            verify(pushed)
    finally:
        path.write_bytes(original)
