import shutil
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.components.pusher.publish import publish
from penstock.components.pusher.versions import USED, choose, remember, remembered
from penstock.errors import ArtifactError
from penstock.serving.versions import INT64_MAX


@pytest.mark.parametrize(
    ("children", "number"), [([], 1), (["1", "2"], 3), (["007"], 8), (["2", "10"], 11), (["-5"], 1), (["abc"], 1)]
)
def test_next_is_one_above_the_highest(tmp_path: Path, children: list[str], number: int):
    for name in children:
        (tmp_path / name).mkdir()
    assert choose(tmp_path, "next") == number


def test_a_file_occupies_its_number(tmp_path: Path):
    (tmp_path / "4").touch()
    assert choose(tmp_path, "next") == 5


def test_timestamp_is_the_present_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(time, "time", lambda: 1_700_000_000.9)
    assert choose(tmp_path, "timestamp") == 1_700_000_000


@pytest.mark.parametrize("present", [1_700_000_000, 1_700_000_500])
def test_timestamp_stays_above_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, present: int):
    monkeypatch.setattr(time, "time", lambda: 1_700_000_000.9)
    (tmp_path / str(present)).mkdir()
    assert choose(tmp_path, "timestamp") == present + 1


def test_a_fixed_version_that_exists_is_an_error(tmp_path: Path):
    (tmp_path / "007").mkdir()
    with pytest.raises(ArtifactError) as caught:
        choose(tmp_path, 7)
    assert str(caught.value) == (
        "version 7 exists and is never overwritten\n"
        f"  received: {tmp_path}/007\n"
        "  expected: a version number that was not there yet\n"
        "  next: use `version: next`, or another number"
    )


def test_the_largest_number_leaves_no_next_one(tmp_path: Path):
    (tmp_path / str(INT64_MAX)).mkdir()
    with pytest.raises(ArtifactError) as caught:
        choose(tmp_path, "next")
    assert str(caught.value) == (
        f"no version number is left in {tmp_path}\n"
        f"  received: {tmp_path}/{INT64_MAX}, the largest number that TF Serving reads\n"
        f"  expected: version numbers below {INT64_MAX}\n"
        "  next: rename that folder, or push to another destination"
    )


@given(present=st.sets(st.integers(min_value=-(2**63), max_value=INT64_MAX - 1), max_size=5))
def test_next_is_never_there_and_always_the_highest(tmp_path_factory: pytest.TempPathFactory, present: set[int]):
    base = tmp_path_factory.mktemp("base")
    for number in present:
        (base / str(number)).mkdir()
    chosen = choose(base, "next")
    assert chosen not in present
    assert chosen > max(present, default=0)
    assert chosen >= 1


def test_the_number_of_a_version_that_was_removed_by_hand_is_not_used_again(model: Path, base: Path):
    for _ in range(2):
        publish(model, base, "next")
    shutil.rmtree(base / "2")
    assert choose(base, "next") == 3
    with pytest.raises(ArtifactError, match="version 2 exists and is never overwritten"):
        choose(base, 2)


def test_numbers_that_are_known_from_elsewhere_are_used(tmp_path: Path):
    assert choose(tmp_path, "next", {4}) == 5
    with pytest.raises(ArtifactError, match="version 4 exists and is never overwritten"):
        choose(tmp_path, 4, {4})


def test_what_a_killed_process_left_of_a_number_does_not_become_a_part_of_another(tmp_path: Path):
    remember(tmp_path, 7)
    with (tmp_path / USED).open("ab") as stream:
        stream.write(b"\n1")
    remember(tmp_path, 12)
    assert remembered(tmp_path) == {1, 7, 12}
