from pathlib import Path

import pytest

from penstock.components.pusher.publish import publish
from penstock.components.pusher.retention import prune, superfluous
from penstock.components.pusher.versions import choose, removed
from penstock.errors import ArtifactError
from penstock.serving.manifest import MANIFEST
from penstock.serving.versions import versions


@pytest.fixture
def five(model: Path, base: Path) -> Path:
    (model / "variables/variables.data-00000-of-00001").write_bytes(b"small")
    for _ in range(5):
        publish(model, base, "next")
    return base


def test_the_newest_stay_and_those_that_are_needed(five: Path):
    assert prune(five, 2, {1}) == (2, 3)
    assert sorted(versions(five)) == [1, 4, 5]
    assert removed(five) == {2, 3}
    assert sorted(child.name for child in five.iterdir()) == [".penstock-removed", ".penstock-versions", "1", "4", "5"]


def test_nothing_is_superfluous_among_few():
    assert superfluous({1, 2}, 2, ()) == []
    assert superfluous({1, 2}, 5, ()) == []


def test_what_others_put_there_stays(five: Path):
    (five / "1" / MANIFEST).unlink()
    assert prune(five, 1, ()) == (2, 3, 4)
    assert sorted(versions(five)) == [1, 5]


def test_the_number_of_a_removed_version_is_not_used_again(five: Path, model: Path):
    prune(five, 1, ())
    with pytest.raises(ArtifactError) as caught:
        publish(model, five, 3)
    assert str(caught.value) == (
        "version 3 exists and is never overwritten\n"
        f"  received: {five} had it until it was removed\n"
        "  expected: a version number that was not there yet\n"
        "  next: use `version: next`, or another number"
    )
    assert choose(five, "next") == 6


def test_one_that_cannot_be_removed_stays_and_is_told(
    five: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    rename = Path.rename

    def refuse(path: Path, target: Path) -> Path:
        if path.name == "2":
            raise PermissionError(13, "Permission denied", str(path))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    assert prune(five, 3, ()) == (1,)
    assert sorted(versions(five)) == [2, 3, 4, 5]
    assert caplog.messages == [f"cannot remove version 2: [Errno 13] Permission denied: '{five}/2'"]
