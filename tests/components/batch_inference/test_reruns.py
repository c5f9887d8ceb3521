"""An output is complete or not there; a run that stopped goes on; nothing complete is replaced unasked."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.components.batch_inference import score_shard
from penstock.components.batch_inference.infer import infer_here
from penstock.components.batch_inference.reading.open import open_blocks
from penstock.components.batch_inference.writing import json_lines
from penstock.errors import ArtifactError, ConfigError, EnvironmentProblem
from tests.components.batch_inference.scaler import save_scaler

ROWS = 6


@pytest.fixture
def files(scoring):
    for letter in "abc":
        scoring.write(f"{letter}.jsonl", "".join(f"[{n}, 1]\n" for n in range(ROWS)))
    return scoring


def _keys(scoring):
    return [row["key"] for row in scoring.lines()]


WANTED = [f"{letter}.jsonl:{n}" for letter in "abc" for n in range(ROWS)]


def test_the_manifest(files):
    result = files.run("*.jsonl")
    manifest = files.manifest()
    assert (manifest["rows"], manifest["results"], manifest["errors"]) == (18, 18, 0)
    assert manifest["model"] == {
        "path": files.model.path,
        "digest": files.model.digest,
        "name": "scaler",
        "version": 1,
    }
    first = files.folder / "a.jsonl"
    assert manifest["inputs"][0] == {
        "path": str(first),
        "name": "a.jsonl",
        "format": "jsonl",
        "gzip": False,
        "size": first.stat().st_size,
        "modified": first.stat().st_mtime_ns,
    }
    assert manifest["config"]["output"]["format"] == "jsonl"
    assert [shard["rows"] for shard in manifest["shards"]] == [ROWS] * 3
    assert sorted(path.name for path in files.output.iterdir()) == ["prediction.manifest.json", *result.files]
    assert not (files.folder / ".partial-out").exists()


def test_a_complete_output_is_not_scored_again(files):
    before = files.run("*.jsonl")
    stamp = (files.output / "prediction.manifest.json").stat().st_mtime_ns
    again = files.run("*.jsonl")
    assert (before.reused, again.reused) == (False, True)
    assert (again.rows, again.results, again.files) == (before.rows, before.results, before.files)
    assert (files.output / "prediction.manifest.json").stat().st_mtime_ns == stamp


def test_results_of_another_run_are_replaced_only_when_told(files):
    files.run("*.jsonl")
    with pytest.raises(ConfigError) as raised:
        files.run("a.jsonl")
    assert str(raised.value) == (
        f"{files.output}: the output folder holds the complete results of another run\n"
        f"  received: 18 rows, model digest {files.model.digest[:12]}\n"
        "  expected: the same model, input files and parameters, or a path that is free\n"
        "  next: choose another folder, or replace it: --overwrite"
    )
    infer_here(files.request("a.jsonl", overwrite=True))
    assert _keys(files) == WANTED[:ROWS]


def test_accepting_fewer_errors_than_there_are_fails_afterwards_too(files):
    files.write("a.jsonl", "[1, 1]\n{\n")
    files.run("a.jsonl", max_error_rate=0.5)
    with pytest.raises(ArtifactError, match="1 of 2 rows got no prediction, more than"):
        files.run("a.jsonl", max_error_rate=0.1)


def test_foreign_files_stay(files):
    files.write("out/notes.txt", "mine")
    with pytest.raises(ConfigError) as raised:
        files.run("*.jsonl")
    assert str(raised.value) == (
        f"{files.output}: the output folder holds other files, and they stay\n"
        "  received: notes.txt\n"
        "  expected: a path that is free, an empty folder, or one with prediction.manifest.json"
    )


def test_an_empty_folder_gives_way(files):
    files.output.mkdir()
    files.run("*.jsonl")
    assert _keys(files) == WANTED


def _failing_after(monkeypatch, count, error):
    """Let the writer of the shard after ``count`` others fail half-way."""
    opened = []

    class Failing(json_lines.JsonLinesWriter):
        def __init__(self, path, writing):
            super().__init__(path, writing)
            opened.append(path)

        def append(self, encoded):
            super().append(encoded[:20])
            if len(opened) > count:
                raise error

    monkeypatch.setattr(json_lines, "JsonLinesWriter", Failing)
    return opened


def test_no_space_left_keeps_what_is_finished(files, monkeypatch):
    with monkeypatch.context() as patch:
        _failing_after(patch, 0, OSError(errno.ENOSPC, "No space left on device"))
        with pytest.raises(EnvironmentProblem) as raised:
            files.run("*.jsonl")
    work = files.folder / ".partial-out"
    assert str(raised.value) == (
        f"{work}: no space is left on the disk\n"
        "  next: free some space, or choose another output folder, and run again: what is finished is kept"
    )
    assert not files.output.exists()
    assert not work.exists()


def test_a_run_that_failed_goes_on(files, monkeypatch):
    scored: list[int] = []
    original = score_shard._scored
    with monkeypatch.context() as patch:

        def scored_twice(job, shard, count):
            if len(scored) == 2:
                raise OSError(errno.EIO, "Input/output error")
            scored.append(shard.index)
            return original(job, shard, count)

        patch.setattr(score_shard, "_scored", scored_twice)
        with pytest.raises(EnvironmentProblem, match="reading or writing failed: Input/output error"):
            files.run("*.jsonl")
    stamps = {path.name: path.stat().st_mtime_ns for path in (files.folder / ".partial-out/output").iterdir()}
    assert len(stamps) == 2
    files.run("*.jsonl")
    assert _keys(files) == WANTED
    assert {name: (files.output / name).stat().st_mtime_ns for name in stamps} == stamps


def test_what_another_run_has_left_is_not_taken_up(files, monkeypatch):
    original = score_shard._scored
    with monkeypatch.context() as patch:
        patch.setattr(
            score_shard, "_scored", lambda job, shard, count: original(job, shard, count) if not shard.index else 1 / 0
        )
        with pytest.raises(ZeroDivisionError):
            files.run("*.jsonl")
    files.write("a.jsonl", "[7, 7]\n")
    files.run("*.jsonl")
    assert _keys(files) == ["a.jsonl:0", *WANTED[ROWS:]]


def test_an_input_that_changes_during_the_run(files, monkeypatch):
    def changing(shard, reading):
        files.write("b.jsonl", "[1, 1]\n")
        return open_blocks(shard, reading)

    monkeypatch.setattr(score_shard, "open_blocks", changing)
    with pytest.raises(ArtifactError, match="an input file has changed since the run began") as raised:
        files.run("b.jsonl")
    assert raised.value.where == str(files.folder / "b.jsonl")


def test_a_model_that_is_replaced_is_not_mixed_in(files, tmp_path):
    from penstock.components.batch_inference.pinned import pin

    files.model = pin(save_scaler(tmp_path / "model", 2.0))
    save_scaler(tmp_path / "model", 3.0)
    with pytest.raises(ArtifactError) as raised:
        files.run("*.jsonl")
    assert raised.value.what == "the model was replaced during the run; no row was scored with the new one"
    assert raised.value.expected == f"digest {files.model.digest}"


def test_two_runs_do_not_write_the_same_output(files):
    from penstock.components.batch_inference.store import FolderStore

    with FolderStore(str(files.folder / ".partial-out")).held(), pytest.raises(EnvironmentProblem) as raised:
        files.run("*.jsonl")
    assert raised.value.what == "another run writes the same output now"


SCRIPT = """
import sys, time
from pathlib import Path
from penstock.components.batch_inference import score_shard
from penstock.components.batch_inference.config import BatchInferenceConfig
from penstock.components.batch_inference.infer import infer_here
from penstock.components.batch_inference.pinned import pin
from penstock.components.batch_inference.request import InferenceRequest

folder, model, slow = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "slow"
original = score_shard.open_blocks

def waiting(shard, reading):
    yield from original(shard, reading)
    if slow and shard.index == 1:
        print("in the middle", flush=True)
        time.sleep(600)

score_shard.open_blocks = waiting
config = BatchInferenceConfig()
infer_here(InferenceRequest(config, (str(folder / "*.jsonl"),), folder / "out", pin(model, name="scaler", version=1)))
"""


@pytest.mark.e2e
def test_a_run_that_is_killed_completes_without_duplicates(files):
    def start(mode):
        return subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(files.folder), files.model.path, mode],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[3],
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )

    with start("slow") as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"in the middle\n"
        first.send_signal(signal.SIGKILL)
    assert not files.output.exists()
    with start("on") as second:
        assert second.wait() == 0
    assert _keys(files) == WANTED
    assert json.loads((files.output / "prediction.manifest.json").read_text())["rows"] == len(WANTED)
