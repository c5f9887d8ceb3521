"""The one model that a text means."""

from pathlib import Path

import pytest

from penstock.errors import ConfigError
from penstock.pipelines.models.choose import choose_model


@pytest.mark.parametrize(
    ("text", "version", "told"),
    [
        ("digits@stable", 1, "version 1 of digits, which 'stable' names"),
        ("digits/1", 1, "version 1 of digits"),
        ("digits", 2, "version 2 of digits, the newest"),
    ],
)
def test_pushed_models(base: Path, text, version, told):
    chosen = choose_model(text)
    assert (chosen.path, chosen.name, chosen.version, chosen.told) == (base / str(version), "digits", version, told)


def test_folders(base: Path):
    assert choose_model("serving/digits/1").told == "serving/digits/1"
    newest = choose_model("serving/digits")
    assert (newest.path, newest.name, newest.version) == (Path("serving/digits/2"), "digits", 2)


@pytest.mark.parametrize(
    ("text", "what", "hint"),
    [
        ("digits@stabel", "digits has no label 'stabel'", "did you mean 'stable'?"),
        ("digits/9", "version 9 of digits is not there", None),
        ("digits/a/b", "there is no model 'digits/a/b'", None),
        ("digit", "there is no model 'digit'", "did you mean 'digits'?"),
        ("@stable", "there is no model '@stable'", None),
        ("serving", "the folder holds neither a SavedModel nor versions of one", None),
    ],
)
def test_what_is_not_there(base: Path, text, what, hint):
    with pytest.raises(ConfigError) as raised:
        choose_model(text)
    assert (raised.value.what, raised.value.hint) == (what, hint)
