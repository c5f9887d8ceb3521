from __future__ import annotations

import subprocess
import sys
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.components.trainer.schedule import Passes, Schedule
from penstock.components.trainer.sharding import (
    BatchPlan,
    PassShape,
    choose_sharding,
    evaluation_plan,
    files_of,
    share_of,
)
from penstock.errors import ArtifactError, ConfigError

counts = st.integers(1, 9)


def split_of(*rows: int) -> Any:
    from penstock.components.trainer.records import Split

    return Split(tuple(f"file-{number}" for number in range(len(rows))), rows)


def test_imports_no_tensorflow() -> None:
    code = (
        "import sys, penstock.components.trainer.sharding, penstock.components.trainer.schedule; "
        "assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_global_batch_and_the_replicas_of_a_worker() -> None:
    plan = BatchPlan(16, replicas=6, workers=3, worker=2)
    assert (plan.global_batch, plan.local_replicas) == (96, 2)


@pytest.mark.parametrize(("replicas", "workers"), [(3, 2), (1, 2), (0, 1), (2, 0)])
def test_replicas_that_cannot_be_shared_out(replicas: int, workers: int) -> None:
    with pytest.raises(ConfigError, match="the replicas cannot be shared out evenly over the workers"):
        BatchPlan(16, replicas=replicas, workers=workers)


def test_a_worker_that_is_not_there() -> None:
    with pytest.raises(ConfigError) as caught:
        BatchPlan(16, replicas=2, workers=2, worker=2)
    assert str(caught.value) == "there is no worker 2\n  received: 2 workers\n  expected: a number from 0 to 1"


@pytest.mark.parametrize(
    ("plan", "rows", "shape", "steps"),
    [
        (BatchPlan(4), 8, PassShape(2, 0), 2),
        (BatchPlan(4), 9, PassShape(2, 1), 3),
        (BatchPlan(4), 3, PassShape(0, 3), 1),
        (BatchPlan(4, replicas=2), 9, PassShape(1, 0), 1),
        (BatchPlan(4, replicas=2), 11, PassShape(1, 1), 2),
        (BatchPlan(4, replicas=2, static_batches=True), 11, PassShape(1, 0), 1),
    ],
)
def test_a_pass_is_cut_into_equal_shares(plan: BatchPlan, rows: int, shape: PassShape, steps: int) -> None:
    assert plan.pass_shape(rows) == shape
    assert plan.steps_per_epoch(rows) == steps


@given(batch=counts, replicas=counts, rows=st.integers(1, 200))
def test_at_most_replicas_less_one_rows_are_left_out(batch: int, replicas: int, rows: int) -> None:
    plan = BatchPlan(batch, replicas=replicas)
    if rows < replicas:
        with pytest.raises(ArtifactError):
            plan.pass_shape(rows)
        return
    full, last = plan.pass_shape(rows)
    assert 0 <= rows - replicas * (full * batch + last) < replicas
    assert 0 <= last < batch


def test_a_split_too_small_for_the_replicas() -> None:
    with pytest.raises(ArtifactError) as caught:
        BatchPlan(16, replicas=4, workers=2).steps_per_epoch(3)
    assert str(caught.value) == (
        "a batch that cannot be split: 3 rows for 4 replicas\n"
        "  received: a split of 3 rows\n"
        "  expected: at least 4 rows\n"
        "  next: train with fewer replicas or more data"
    )


def test_a_split_too_small_for_a_full_batch() -> None:
    with pytest.raises(ArtifactError) as caught:
        BatchPlan(16, replicas=2, static_batches=True).steps_per_epoch(31)
    assert str(caught.value) == (
        "a batch that cannot be split: 31 rows for 2 replicas\n"
        "  received: a split of 31 rows\n"
        "  expected: at least 32 rows, a full batch of 16 for each replica\n"
        "  next: train with fewer replicas, a smaller batch_size or more data"
    )


OWN, KEEPS = "each reads its own", "each reads all and keeps its rows"
UNEVEN = "as by files one would get 10 of 15 rows"


@pytest.mark.parametrize(
    ("rows", "requested", "workers", "chosen", "message"),
    [
        ((5, 5), "auto", 1, "data", None),
        ((5, 5), "file", 1, "data", None),
        ((5, 5), "data", 2, "data", None),
        ((5, 50), "file", 2, "file", None),
        ((5, 5), "auto", 2, "file", f"files: 2 files for 2 workers, {OWN}"),
        ((10, 4, 6), "auto", 2, "file", f"files: 3 files for 2 workers, {OWN}"),
        ((11, 9), "auto", 2, "file", f"files: 2 files for 2 workers, {OWN}"),
        ((9, 9, 9), "auto", 4, "data", f"rows: 3 files for 4 workers, {KEEPS}"),
        ((9, 0), "auto", 2, "data", f"rows: 1 file for 2 workers, {KEEPS}"),
        (
            (5, 5, 5),
            "auto",
            2,
            "data",
            f"rows: 3 files for 2 workers, {KEEPS}, as by files one would get 10 of 15 rows",
        ),
    ],
)
def test_what_workers_share_out(
    rows: tuple[int, ...],
    requested: Literal["auto", "file", "data"],
    workers: int,
    chosen: str,
    message: str | None,
) -> None:
    said: list[str] = []
    assert choose_sharding(split_of(*rows), requested, workers, split_name="train", announce=said.append) == chosen
    assert said == ([f"split 'train' is shared out by {message}"] if message else [])


def test_files_cannot_be_shared_out_to_more_workers() -> None:
    with pytest.raises(ArtifactError) as caught:
        choose_sharding(split_of(4, 4, 0), "file", 3, split_name="train", announce=lambda _line: None)
    assert str(caught.value) == (
        "split 'train' cannot be shared out by files: 2 files for 3 workers\n"
        "  received: 2 files with rows\n"
        "  expected: at least 3, one for each worker\n"
        "  next: set input.autoshard to data, or let the ExampleGen step write more shards"
    )


def test_files_are_dealt_out_the_largest_first() -> None:
    split = split_of(3, 8, 4, 1, 6)
    plans = [BatchPlan(1, replicas=2, workers=2, worker=worker, sharding="file") for worker in (0, 1)]
    assert [files_of(split, plan) for plan in plans] == [("file-0", "file-1"), ("file-2", "file-3", "file-4")]
    assert [share_of(split, plan).rows_per_file for plan in plans] == [(3, 8), (4, 1, 6)]
    assert files_of(split, BatchPlan(1, replicas=2, workers=2)) == split.files


@given(rows=st.lists(st.integers(0, 50), min_size=1, max_size=12), workers=counts)
def test_every_file_has_one_reader(rows: list[int], workers: int) -> None:
    split = split_of(*rows)
    plans = [BatchPlan(1, replicas=workers, workers=workers, worker=n, sharding="file") for n in range(workers)]
    shares = [share_of(split, plan) for plan in plans]
    assert sorted(file for share in shares for file in share.files) == sorted(split.files)
    if sum(count > 0 for count in rows) >= workers:
        assert all(share.rows for share in shares)


@pytest.mark.parametrize(
    ("rows", "static_batches", "sharding"), [((4, 4), False, "file"), ((4, 0), False, "data"), ((4, 4), True, "data")]
)
def test_evaluation_by_files_leaves_no_worker_idle(
    *, rows: tuple[int, ...], static_batches: bool, sharding: str
) -> None:
    plan = BatchPlan(2, replicas=2, workers=2, sharding="file", static_batches=static_batches)
    assert evaluation_plan(split_of(*rows), plan).sharding == sharding


@given(batch=counts, replicas=counts, rows=st.integers(9, 90), start=st.integers(0, 60))
def test_the_schedule_counts_each_row_once(batch: int, replicas: int, rows: int, start: int) -> None:
    plan = BatchPlan(batch, replicas=replicas)
    schedule = Schedule(plan, rows, Passes(seed=0, epochs=None, start_step=start))
    sizes = schedule.batch_sizes(replicas, 1).tolist()
    assert len(sizes) == plan.steps_per_epoch(rows) * replicas
    assert sum(sizes) == schedule.rows_per_epoch
    taken = [schedule.rows_before(step + 1) - schedule.rows_before(step) for step in range(start, start + 9)]
    assert taken == [replicas * sizes[step * replicas % len(sizes)] for step in range(9)]
