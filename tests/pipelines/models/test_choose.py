"""The one model that a text means."""

from pathlib import Path

import pytest

from penstock.components.batch_inference.places import Url
from penstock.errors import ConfigError
from penstock.pipelines.models.choose import choose_model
from penstock.serving.model_config import ModelEntry, ModelsFile, VersionPolicy


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


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A base path in an object store, with versions 2 and 10."""
    from tests.components.batch_inference import stores

    monkeypatch.setenv(stores.FOLDER, str(tmp_path))
    for version in ("2", "10", "11-unfinished"):
        folder = tmp_path / "bucket" / "digits" / version
        folder.mkdir(parents=True)
        (folder / "saved_model.pb").write_bytes(b"")
    return "store://bucket/digits"


def test_urls(store: str):
    chosen = choose_model(f"{store}/2/")
    assert (chosen.path, chosen.name, chosen.version, chosen.told) == (Url(f"{store}/2"), "", None, f"{store}/2")
    newest = choose_model(store)
    assert (newest.path, newest.name, newest.version) == (Url(f"{store}/10"), "digits", 10)
    assert newest.told == f"version 10 in {store}, the newest"
    with pytest.raises(ConfigError, match="store://bucket: the folder holds neither a SavedModel nor versions of one"):
        choose_model("store://bucket")


def test_pushed_to_a_store(store: str, tmp_path: Path):
    entry = ModelEntry("remote", store, policy=VersionPolicy("specific", versions=(2, 10)), labels={"stable": 2})
    config = tmp_path / "remote.config"
    ModelsFile(config).update(lambda _: (entry,))
    chosen = choose_model("remote@stable", [config])
    told = "version 2 of remote, which 'stable' names"
    assert (chosen.path, chosen.version, chosen.told) == (Url(f"{store}/2"), 2, told)


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
