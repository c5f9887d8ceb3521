"""``penstock gc`` after real runs: what it removed runs again, what it kept is taken from the cache."""

import json

import pytest

from tests.e2e.conftest import penstock

pytestmark = pytest.mark.e2e
PIPELINE = """\
pipeline: small
root: runs
steps:
  schema: {component: ImportSchemaGen, with: {schema_file: a.pbtxt}}
"""


def run(folder, schema):
    ended = penstock("run", "p.yaml", "--set", f"steps.schema.with.schema_file={schema}", "--json", cwd=folder)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)["steps"][0]["state"]


def test_what_was_removed_is_never_taken_from_the_cache(tmp_path):
    (tmp_path / "p.yaml").write_text(PIPELINE, encoding="utf-8")
    for name in ("a", "b"):
        (tmp_path / f"{name}.pbtxt").write_text(f'feature {{ name: "{name}" type: INT }}\n', encoding="utf-8")
    assert [run(tmp_path, schema) for schema in ("a.pbtxt", "b.pbtxt")] == ["ran", "ran"]
    ended = penstock("gc", "p.yaml", "--keep-runs", "1", "--yes", "--json", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    (gone,) = json.loads(ended.stdout)["garbage"]
    assert gone["step"] == "schema"
    assert not (tmp_path / "runs" / "schema" / "schema" / str(gone["execution"])).exists()
    assert [run(tmp_path, schema) for schema in ("b.pbtxt", "a.pbtxt", "a.pbtxt")] == ["cached", "ran", "cached"]


def test_what_was_marked_and_not_yet_deleted_is_not_taken_from_the_cache_either(tmp_path, monkeypatch):
    """A kill between the two: the files are still there, and look as good as ever."""
    from penstock.pipelines import garbage
    from penstock.pipelines.config import load

    (tmp_path / "p.yaml").write_text(PIPELINE, encoding="utf-8")
    for name in ("a", "b"):
        (tmp_path / f"{name}.pbtxt").write_text(f'feature {{ name: "{name}" type: INT }}\n', encoding="utf-8")
    assert [run(tmp_path, schema) for schema in ("a.pbtxt", "b.pbtxt")] == ["ran", "ran"]
    loaded = load(tmp_path / "p.yaml")
    monkeypatch.setattr(garbage, "_delete", lambda _: [])
    (item,) = garbage.remove(loaded, 1).garbage
    assert item.folders[0].is_dir()
    assert run(tmp_path, "a.pbtxt") == "ran"
