import re

import pytest

from penstock.components.pusher.words import require_address, require_label, require_model_name, seconds


@pytest.mark.parametrize("name", ["digits", "digits-2", "a.b", "A_1", "x" * 128, "7"])
def test_names_that_are_one_part_of_a_url(name):
    assert require_model_name(name) == name
    assert require_label(name) == name


@pytest.mark.parametrize(
    "name", ["", "a/b", "..", ".", "a..b", "../x", "a b", "a:b", "ü", "-a", ".a", "a.", "x" * 129, "a\n"]
)
def test_names_that_are_not(name):
    message = f"a model's name is made of letters, digits, _, - and single dots inside, 128 at most; received {name!r}"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        require_model_name(name)


@pytest.mark.parametrize(("text", "length"), [("500ms", 0.5), ("60s", 60), ("1.5m", 90), ("2h", 7200)])
def test_durations(text, length):
    assert seconds(text) == length


@pytest.mark.parametrize("text", ["", "60", "0s", "-1s", "1d", "1 s", "s", "1e3s", "٣s"])
def test_texts_that_are_no_duration(text):
    with pytest.raises(ValueError, match="must be a duration such as 500ms, 60s, 5m or 1h; received"):
        seconds(text)


def test_addresses():
    assert require_address("localhost:8500") == "localhost:8500"
    for text in ("localhost", ":8500", "h:", "h:0", "h:65536", "http://h:80/x", "h:x"):
        with pytest.raises(ValueError, match="must be host:port, such as localhost:8500; received"):
            require_address(text)
