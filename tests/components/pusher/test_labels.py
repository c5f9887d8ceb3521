import pytest

from penstock.components.pusher.labels import check_labels, placed
from penstock.errors import ArtifactError


@pytest.mark.parametrize(
    ("wanted", "before", "after"),
    [
        ({"stable": "keep", "canary": "this"}, {}, {"canary": 5, "stable": 5}),
        ({"stable": "keep", "canary": "this"}, {"stable": 3, "canary": 4}, {"canary": 5, "stable": 3}),
        ({"stable": "latest"}, {"stable": 3}, {"stable": 5}),
        ({"stable": 2}, {"stable": 3}, {"stable": 2}),
        ({}, {"stable": 3}, {"stable": 3}),
        ({"canary": "this"}, {"stable": 3}, {"canary": 5, "stable": 3}),
    ],
)
def test_where_labels_are_after_version_5(wanted, before, after):
    assert placed(wanted, before, before, 5) == after


@pytest.mark.parametrize("value", ["this", "latest"])
def test_a_label_that_a_later_push_has_moved_does_not_go_back(value):
    assert placed({"canary": value}, {}, {"canary": 6}, 5) == {"canary": 6}
    assert placed({"canary": value}, {"canary": 3}, {"canary": 6}, 5) == {"canary": 6}
    assert placed({"canary": value}, {"canary": 3}, {"canary": 4}, 5) == {"canary": 5}


def test_a_version_below_the_label_takes_it_where_nothing_has_moved_since():
    assert placed({"canary": "this"}, {"canary": 6}, {"canary": 6}, 5) == {"canary": 5}


@pytest.mark.parametrize(
    ("wanted", "before"),
    [({"stable": 2}, {}), ({"stable": "keep"}, {"stable": 3}), ({"stable": "keep"}, {}), ({"stable": "this"}, {})],
)
def test_labels_that_can_be_had(wanted, before):
    check_labels(wanted, before, {2, 3})


def test_a_version_that_is_not_there_gets_no_label():
    with pytest.raises(ArtifactError) as caught:
        check_labels({"stable": 7}, {}, {2, 3})
    assert str(caught.value) == (
        "label 'stable' names version 7, which is not there\n"
        "  received: stable: 7\n"
        "  expected: one of 2, 3, `this`, or `keep`\n"
        "  next: write stable: this, or the number of a version that is there"
    )


def test_a_label_whose_version_was_removed_is_not_kept():
    with pytest.raises(ArtifactError, match="label 'stable' names version 1, which is not there") as caught:
        check_labels({"stable": "keep"}, {"stable": 1}, ())
    assert caught.value.received == "stable: keep"
