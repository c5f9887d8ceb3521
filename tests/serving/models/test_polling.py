import os
from pathlib import Path

import pytest

from penstock.serving.errors import Code, ServingError
from penstock.serving.model_config import ModelEntry, VersionPolicy
from penstock.serving.models.polling import look
from tests.serving.models.fakes import make


def _found(base: Path, policy: VersionPolicy) -> dict[int, str]:
    found = look([ModelEntry("m", str(base), policy=policy)])
    return {version: path.relative_to(base).as_posix() for version, path in found["m"].items()}


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (VersionPolicy(), {12: "12"}),
        (VersionPolicy("latest", count=2), {12: "12", 9: "009"}),
        (VersionPolicy("latest", count=9), {12: "12", 9: "009", 3: "3"}),
        (VersionPolicy("all"), {3: "3", 9: "009", 12: "12"}),
        (VersionPolicy("specific", versions=(3,)), {3: "3"}),
        (VersionPolicy("specific", versions=(12, 9)), {12: "12", 9: "009"}),
        (VersionPolicy("specific", versions=(3, 99)), {3: "3"}),
        (VersionPolicy("specific"), {}),
    ],
)
def test_policies(tmp_path: Path, policy: VersionPolicy, expected: dict[int, str]):
    make(tmp_path / "m", "12", "009", "3", ".staging-1", "latest", "1_0")
    assert _found(tmp_path / "m", policy) == expected


@pytest.mark.parametrize(
    ("policy", "name"),
    [
        (VersionPolicy(), "7"),
        (VersionPolicy("all"), "007"),
        (VersionPolicy("specific", versions=(7,)), "7"),
        (VersionPolicy("specific", versions=(7, 99)), "7"),
    ],
)
def test_two_names_for_one_number_collide_as_in_tf_serving(tmp_path: Path, policy: VersionPolicy, name: str):
    make(tmp_path / "m", "7", "007")
    assert _found(tmp_path / "m", policy) == {7: name}


def test_incomplete_versions_and_files_are_found_as_well(tmp_path: Path):
    make(tmp_path / "m")
    (tmp_path / "m" / "5").touch()
    assert _found(tmp_path / "m", VersionPolicy()) == {5: "5"}


def test_a_base_path_without_versions_has_none(tmp_path: Path):
    assert _found(make(tmp_path / "m"), VersionPolicy()) == {}


def test_a_file_url(tmp_path: Path):
    make(tmp_path / "m", 1)
    assert look([ModelEntry("m", f"file://{tmp_path}/m")]) == {"m": {1: tmp_path / "m" / "1"}}


def test_one_base_path_that_is_missing_spoils_all(tmp_path: Path):
    make(tmp_path / "m", 1)
    with pytest.raises(ServingError) as caught:
        look([ModelEntry("m", str(tmp_path / "m")), ModelEntry("n", f"{tmp_path}/n")])
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert caught.value.message == (
        f"Could not find base path {tmp_path}/n for servable n with error NOT_FOUND: {tmp_path}/n not found"
    )


def test_a_base_path_that_is_a_file(tmp_path: Path):
    (tmp_path / "m").touch()
    with pytest.raises(ServingError) as caught:
        look([ModelEntry("m", str(tmp_path / "m"))])
    assert (caught.value.code, caught.value.message) == (Code.FAILED_PRECONDITION, f"{tmp_path}/m; Not a directory")


def test_a_base_path_below_a_file(tmp_path: Path):
    (tmp_path / "f").touch()
    with pytest.raises(ServingError) as caught:
        look([ModelEntry("m", str(tmp_path / "f" / "m"))])
    assert caught.value.message == (
        f"Could not find base path {tmp_path}/f/m for servable m with error FAILED_PRECONDITION: "
        f"{tmp_path}/f/m; Not a directory"
    )


def test_a_base_path_that_may_not_be_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(path: Path) -> list[str]:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "listdir", refuse)
    with pytest.raises(ServingError) as caught:
        look([ModelEntry("m", str(tmp_path))])
    assert (caught.value.code, caught.value.message) == (Code.PERMISSION_DENIED, f"{tmp_path}; Permission denied")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(116, "Stale file handle"), "UNKNOWN: {base}; Stale file handle"),
        (PermissionError(13, "Permission denied"), "PERMISSION_DENIED: {base}; Permission denied"),
        (OSError("no number"), "UNKNOWN: {base}; no number"),
        (FileNotFoundError(2, "No such file or directory"), "NOT_FOUND: {base} not found"),
    ],
)
def test_a_base_path_that_cannot_be_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError, reason: str
):
    def refuse(path: Path, **_: bool) -> os.stat_result:
        raise error

    monkeypatch.setattr(Path, "stat", refuse)
    with pytest.raises(ServingError) as caught:
        look([ModelEntry("m", str(tmp_path))])
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert caught.value.message == (
        f"Could not find base path {tmp_path} for servable m with error {reason.format(base=tmp_path)}"
    )


def test_a_base_path_that_is_no_path():
    with pytest.raises(ServingError) as caught:
        look([ModelEntry("m", "/m\0x")])
    assert caught.value.message == (
        "Could not find base path /m\0x for servable m with error INVALID_ARGUMENT: embedded null byte"
    )


def test_a_version_that_cannot_be_looked_at_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    stat = Path.stat

    def refuse(path: Path, **options: bool) -> os.stat_result:
        if path.name == "3":
            raise OSError(116, "Stale file handle")
        return stat(path, **options)

    make(tmp_path / "m", 3)
    monkeypatch.setattr(Path, "stat", refuse)
    assert _found(tmp_path / "m", VersionPolicy("specific", versions=(3,))) == {3: "3"}


def test_an_object_store_is_not_ours_to_read():
    with pytest.raises(ServingError) as caught:
        look([ModelEntry("m", "gs://bucket/m")])
    assert caught.value.message == (
        "Could not find base path gs://bucket/m for servable m with error UNIMPLEMENTED: "
        "File system scheme 'gs' not implemented"
    )
