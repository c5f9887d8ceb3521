import pytest

from penstock.serving.models.policy import (
    TRANSITIONS,
    Action,
    Phase,
    Snapshot,
    availability_preserving,
    resource_preserving,
)


def _versions(text: str) -> list[Snapshot]:
    """Read ``"1 READY, 2 NEW wanted"``."""
    versions = []
    for each in text.split(", ") if text else []:
        number, phase, *wanted = each.split()
        versions.append(Snapshot(int(number), Phase[phase], bool(wanted)))
    return versions


@pytest.mark.parametrize(
    ("versions", "action"),
    [
        ("", None),
        ("1 NEW wanted", Action("load", 1)),
        ("1 NEW wanted, 3 NEW wanted, 2 NEW wanted", Action("load", 3)),
        ("1 READY wanted", None),
        ("1 READY", Action("unload", 1)),
        # The old version stays until the new one is ready, or for good when that one fails.
        ("1 READY, 2 NEW wanted", Action("load", 2)),
        ("1 READY, 2 LOADING wanted", None),
        ("1 READY, 2 ERROR wanted", None),
        ("1 READY, 2 READY wanted", Action("unload", 1)),
        # One of several old versions is enough.
        ("1 READY, 2 READY, 3 LOADING wanted", Action("unload", 1)),
        ("2 READY, 3 LOADING wanted", None),
        ("1 READY, 2 READY wanted, 3 NEW wanted", Action("unload", 1)),
        ("1 UNLOADING, 2 NEW wanted", Action("load", 2)),
        ("1 LOADING, 2 NEW wanted", Action("load", 2)),
        ("1 LOADING", None),
        ("1 ERROR, 2 DISABLED", None),
    ],
)
def test_availability_preserving(versions: str, action: Action | None):
    assert availability_preserving(_versions(versions)) == action


@pytest.mark.parametrize(
    ("versions", "action"),
    [
        ("", None),
        ("1 NEW wanted", Action("load", 1)),
        ("1 NEW wanted, 2 NEW wanted", Action("load", 2)),
        ("1 READY, 2 NEW wanted", Action("unload", 1)),
        ("1 UNLOADING, 2 NEW wanted", None),
        ("1 LOADING, 2 NEW wanted", None),
        ("1 DISABLED, 2 NEW wanted", Action("load", 2)),
        ("1 ERROR, 2 NEW wanted", Action("load", 2)),
        ("1 READY wanted, 2 NEW wanted", Action("load", 2)),
        ("1 READY, 2 READY", Action("unload", 1)),
    ],
)
def test_resource_preserving(versions: str, action: Action | None):
    assert resource_preserving(_versions(versions)) == action


def test_both_have_the_names_of_the_options():
    assert dict(TRANSITIONS) == {
        "availability_preserving": availability_preserving,
        "resource_preserving": resource_preserving,
    }
