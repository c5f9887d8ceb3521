"""What nothing refers to goes, and nothing else: marked, renamed, deleted; never outside the root."""

import os
import shutil

import pytest

from penstock.errors import EnvironmentProblem
from penstock.metadata.garbage import GARBAGE, INTERRUPTED
from penstock.metadata.owners import Owner
from penstock.pipelines import garbage
from penstock.pipelines.config import load
from penstock.pipelines.garbage import ELSEWHERE, NOT_OURS, look, remove
from penstock.pipelines.runners.lock import hold
from tests.metadata.run_files import History, whole_run


class Place:
    """A pipeline's file with the history of its runs."""

    def __init__(self, project):
        file = project.pipeline(
            "  examples: {component: CsvExampleGen, with: {input_base: data}}\n", top="pipeline: digits\nroot: runs\n"
        )
        self.loaded = load(file)
        self.root = project.folder / "runs"
        self.history = History(self.root)

    def look(self, keep=1):
        return look(self.loaded, keep)

    def remove(self, keep=1):
        return remove(self.loaded, keep)

    def folder(self, step, key, number):
        return self.root / step / key / str(number)


@pytest.fixture
def place(project):
    return Place(project)


def steps(items):
    return [(item.judged.work.origin.run, item.judged.work.origin.step) for item in items]


def reasons(items):
    return {item.judged.work.origin.step: item.judged.reason for item in items}


def test_old_runs_go_and_the_newest_stay(place):
    for run in ("r1", "r2", "r3"):
        whole_run(place.history, run)
    verdict = place.look(keep=2)
    assert steps(verdict.garbage) == [
        ("r1", step) for step in ("examples", "statistics", "schema", "trainer", "scores")
    ]
    assert {item.judged.reason for item in verdict.garbage} == {GARBAGE}
    assert verdict.size == 600
    assert [item.judged.reason for item in verdict.kept] == ["run r2"] * 5 + ["run r3"] * 5
    assert {run for run, _ in steps(verdict.kept)} == {"r2", "r3"}


def test_looking_changes_nothing(place):
    whole_run(place.history, "r1")
    whole_run(place.history, "r2")
    place.look()
    assert set(place.history.states().values()) == {"LIVE"}
    assert place.folder("trainer", "model", 4).is_dir()


def test_removing_marks_and_deletes(place):
    old = whole_run(place.history, "r1")
    new = whole_run(place.history, "r2")
    removed = place.remove()
    assert len(removed.garbage) == 5
    assert place.history.states() == {
        **dict.fromkeys(old.values(), "DELETED"),
        **dict.fromkeys(new.values(), "LIVE"),
    }
    left = {path.parent.name for path in place.root.rglob("data")}
    assert left == {str(number) for number in range(6, 11)}
    assert place.look().garbage == ()


def test_what_a_recent_run_took_from_the_cache_stays(place):
    ids = whole_run(place.history, "r1")
    place.history.cached("r2", "trainer", {"model": [ids["model"]], "model_run": [ids["model_run"]]})
    verdict = place.look()
    # The examples and the schema made the model; the statistics made the schema; the scores are the newest there are.
    assert verdict.garbage == ()
    assert reasons(verdict.kept)["examples"] == "run r2"


def test_a_pushed_version_and_what_made_it_stays_while_it_is_there(place):
    whole_run(place.history, "r1", version=1)
    whole_run(place.history, "r2")
    verdict = place.look()
    assert steps(verdict.garbage) == [("r1", "scores")]
    assert set(reasons(verdict.kept[:5]).values()) == {"label stable of digits points to version 1"}


def test_a_version_without_label_that_was_pruned_goes(place):
    for number in (1, 2, 3):
        whole_run(place.history, f"r{number}", version=number)
    (place.root / "serving" / "digits" / "1").rmdir()
    assert ("r1", "pusher") in steps(place.look().garbage)
    kept = place.look().kept
    assert ("r2", "trainer") in steps(kept)
    assert f"version 2 of digits is in {place.root}/serving/digits/2" in {item.judged.reason for item in kept}


def test_a_labelled_version_stays_even_if_its_folder_is_gone(place):
    whole_run(place.history, "r1", version=1)
    (place.root / "serving" / "digits" / "1").rmdir()
    whole_run(place.history, "r2")
    kept = place.look().kept
    assert reasons(kept[:5])["pusher"] == "label stable of digits points to version 1"


def test_a_label_on_a_very_old_version_counts(place):
    whole_run(place.history, "r0", version=1)
    for number in range(2, 35):
        told = {"pushed": 1, "model_name": "digits", "pushed_version": str(number), "labels": '{"stable": 1}'}
        place.history.step(f"r{number}", "pusher", {"pushed_model": ("PushedModel", told)})
    (place.root / "serving" / "digits" / "1").rmdir()
    verdict = place.look()
    assert reasons(verdict.kept)["trainer"] == "label stable of digits points to version 1"


def test_the_newest_blessed_model_stays(place):
    ids = whole_run(place.history, "r1")
    place.history.step("r1", "evaluator", {"blessing": ("ModelBlessing", {"blessed": 1})}, {"model": [ids["model"]]})
    for run in ("r2", "r3"):
        ids = whole_run(place.history, run)
        outputs = {"blessing": ("ModelBlessing", {"blessed": 0})}
        place.history.step(run, "evaluator", outputs, {"model": [ids["model"]]})
    verdict = place.look()
    assert ("r1", "trainer") in steps(verdict.kept)
    assert ("r2", "trainer") in steps(verdict.garbage)
    assert reasons(verdict.kept[:5])["evaluator"] == "the newest that evaluator blessed"


def test_the_newest_run_that_ended_well_stays(place):
    whole_run(place.history, "r1")
    for run in ("r2", "r3"):
        place.history.step(run, "examples", state="FAILED")
    assert place.look().garbage == ()


def test_inputs_of_a_running_step_stay(place):
    ids = whole_run(place.history, "r1")
    whole_run(place.history, "r2")
    place.history.step("r0", "trainer", state="RUNNING", inputs={"examples": [ids["examples"]]})
    assert ("r1", "examples") in steps(place.look(keep=1).kept)


def test_what_another_pipeline_used_stays(place):
    ids = whole_run(place.history, "r1")
    whole_run(place.history, "r2")
    other = History(place.root, "other")
    other.step("o1", "trainer", {"model": ("Model", {})}, {"examples": [ids["examples"]]})
    verdict = place.look()
    assert reasons(verdict.kept[:1]) == {"examples": "another pipeline used it"}
    assert {item.judged.work.origin.pipeline for item in (*verdict.kept, *verdict.garbage)} == {"digits"}


@pytest.mark.parametrize("kind", ["output", "step"])
def test_links_out_of_the_root_are_not_followed(place, tmp_path, kind):
    whole_run(place.history, "r1")
    whole_run(place.history, "r2")
    outside = tmp_path / "outside"
    linked = place.root / "trainer" / "model" if kind == "output" else place.root / "trainer"
    linked.rename(outside)
    linked.symlink_to(outside)
    place.remove()
    assert len(list(outside.rglob("data"))) == (2 if kind == "output" else 4)


def test_a_link_inside_an_artifact_is_removed_and_its_target_is_not(place, tmp_path):
    whole_run(place.history, "r1")
    whole_run(place.history, "r2")
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("keep", encoding="utf-8")
    (place.folder("trainer", "model", 4) / "link").symlink_to(precious)
    place.remove()
    assert (precious / "file").read_text(encoding="utf-8") == "keep"
    assert not place.folder("trainer", "model", 4).exists()


def test_files_that_lie_elsewhere_are_left_alone(place, tmp_path):
    foreign = History(tmp_path / "elsewhere")
    foreign.store, foreign.sqlite = place.history.store, place.history.sqlite
    whole_run(foreign, "r1")
    whole_run(place.history, "r2")
    verdict = place.remove()
    assert verdict.garbage == ()
    assert {item.judged.reason for item in verdict.kept[:5]} == {NOT_OURS}
    assert len(list((tmp_path / "elsewhere").rglob("data"))) == 6


def test_nothing_is_removed_while_a_run_holds_the_root(place):
    whole_run(place.history, "r1")
    whole_run(place.history, "r2")
    with hold(place.root, wait=False), pytest.raises(EnvironmentProblem) as caught:
        place.remove()
    assert caught.value.what.startswith(f"another run uses this root (process {os.getpid()}")
    assert caught.value.hint == "nothing was removed; run gc again when nothing uses the root"
    assert set(place.history.states().values()) == {"LIVE"}


def test_a_root_that_cannot_be_written(place):
    whole_run(place.history, "r1")
    (place.root / ".penstock.lock").unlink(missing_ok=True)
    (place.root / ".penstock.lock").mkdir()
    with pytest.raises(EnvironmentProblem, match="the root cannot be written: Is a directory") as caught:
        place.remove()
    assert caught.value.hint == ("nothing was removed; free some space, name another root:, or make this one writable")


@pytest.mark.parametrize("moment", ["marked", "renamed", "half deleted"])
def test_what_a_kill_interrupts_is_finished_later(place, monkeypatch, moment):
    whole_run(place.history, "r1")
    whole_run(place.history, "r2")
    real = garbage._delete

    def killed(folder):
        if moment != "marked":
            folder.rename(folder.with_name(f".penstock-trash-{folder.name}"))
        if moment == "half deleted":
            (folder.with_name(f".penstock-trash-{folder.name}") / "data").unlink()
        raise KeyboardInterrupt

    monkeypatch.setattr(garbage, "_delete", killed)
    with pytest.raises(KeyboardInterrupt):
        place.remove()
    monkeypatch.setattr(garbage, "_delete", real)
    assert list(place.history.states().values()) == ["DELETED"] * 6 + ["LIVE"] * 6
    left = place.look().garbage
    assert {item.judged.reason for item in left} == {INTERRUPTED}
    place.remove()
    assert {path.parent.name for path in place.root.rglob("data")} == {str(number) for number in range(6, 11)}
    assert list(place.root.rglob(".penstock-trash-*")) == []
    assert place.look().garbage == ()


def test_files_that_cannot_be_removed_are_told_of(place, monkeypatch):
    whole_run(place.history, "r1")
    whole_run(place.history, "r2")
    refused = PermissionError(13, "Permission denied", "runs/trainer/model/4")
    monkeypatch.setattr(garbage, "_delete", lambda folder: [refused] if folder.parent.name == "model" else [])
    with pytest.raises(EnvironmentProblem) as caught:
        place.remove()
    assert caught.value.what == "1 of 6 folders could not be removed"
    assert (caught.value.where, caught.value.received) == ("runs/trainer/model/4", "Permission denied")


def test_a_store_that_is_not_there(project):
    place = Place(project)
    place.history.sqlite.unlink()
    with pytest.raises(EnvironmentProblem, match="there is no metadata store"):
        place.look()


def test_what_another_machine_made_is_left_to_it(place):
    """Two machines with roots of the same path write to one server."""
    with hold(place.root, wait=False) as lock:
        ours, theirs = (Owner.here("digits", str(place.root), key).text for key in (lock, "0" * 32))
    for run, owner in (("r1", ours), ("r2", theirs), ("r3", theirs), ("r4", ours)):
        place.history.step(run, "examples", {"examples": ("Examples", {})}, penstock_owner=owner)
    shutil.rmtree(place.folder("examples", "examples", 2))
    verdict = place.remove()
    assert steps(verdict.garbage) == [("r1", "examples"), ("r3", "examples")]
    assert {item.judged.work.origin.run: item.judged.reason for item in verdict.kept} == {
        "r2": ELSEWHERE,
        "r4": "run r4",
    }
    assert place.history.states() == {1: "DELETED", 2: "LIVE", 3: "DELETED", 4: "LIVE"}
