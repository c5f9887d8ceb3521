from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.components.trainer.options import InputOptions
from penstock.components.trainer.schedule import Passes
from penstock.components.trainer.sharding import BatchPlan, files_of
from penstock.errors import ArtifactError
from tests.components.trainer.data import separable_rows, write_shard
from tests.components.trainer.replicas import Batches, flat, global_batches, workers_of

ROWS_OF_SHARDS = (40, 0, 7, 23, 1, 31, 18)
ONE = BatchPlan(8)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Shards of uneven length whose rows hold nothing but their number."""
    import tensorflow as tf

    from penstock.components.trainer.records import Split

    folder, numbers, files = tmp_path_factory.mktemp("shards"), iter(range(sum(ROWS_OF_SHARDS))), []
    for shard, rows in enumerate(ROWS_OF_SHARDS):
        files.append(str(folder / f"{shard}.gz"))
        with tf.io.TFRecordWriter(files[-1], "GZIP") as writer:
            for _ in range(rows):
                value = tf.train.Feature(int64_list=tf.train.Int64List(value=[next(numbers)]))
                features = tf.train.Features(feature={"number": value})
                writer.write(tf.train.Example(features=features).SerializeToString())
    return Split(tuple(files), ROWS_OF_SHARDS)


def some(split: Any, shards: list[int]) -> Any:
    from penstock.components.trainer.records import Split

    return Split(tuple(split.files[n] for n in shards), tuple(split.rows_per_file[n] for n in shards))


def number_parser() -> Any:
    import tensorflow as tf

    from penstock.components.trainer.input_pipeline import RowParser

    return RowParser({"number": tf.io.FixedLenFeature([], tf.int64)}, dict, ("number",), "number", single=True)


def train(
    split: Any, plan: BatchPlan = ONE, passes: Passes | None = None, take: int | None = None, **options: Any
) -> Batches:
    from penstock.components.trainer.input_pipeline import training_data

    given = InputOptions(**{"shuffle_buffer": 20, **options})
    dataset = training_data(split, number_parser(), given, plan, passes or Passes(seed=1, epochs=1))
    return [label.numpy().tolist() for _, label in (dataset if take is None else dataset.take(take))]


def evaluate(split: Any, plan: BatchPlan, **options: Any) -> Batches:
    from penstock.components.trainer.input_pipeline import evaluation_data

    dataset = evaluation_data(split, number_parser(), InputOptions(**options), plan)
    batches = [label.numpy().tolist() for _, label in dataset]
    assert int(dataset.cardinality()) == len(batches)
    return batches


@pytest.mark.parametrize("cache", ["none", "memory"])
def test_a_pass_has_every_row_once_in_an_order_of_its_own(shards: Any, cache: Literal["none", "memory"]) -> None:
    batches = train(shards, passes=Passes(seed=1, epochs=2), cache=cache)
    assert [len(batch) for batch in batches] == [8] * 15 * 2
    first, second = flat(batches[:15]), flat(batches[15:])
    assert sorted(first) == sorted(second) == list(range(120))
    assert first != second
    assert train(shards, passes=Passes(seed=1, epochs=2), cache=cache) == batches
    assert flat(train(shards, passes=Passes(seed=2, epochs=1), cache=cache)) != first


@pytest.mark.parametrize("cache", ["none", "memory"])
def test_without_shuffling_the_order_of_the_files_stays(shards: Any, cache: Literal["none", "memory"]) -> None:
    batches = train(shards, passes=Passes(seed=1, epochs=2), cache=cache, shuffle_buffer=0, parallel_reads=1)
    assert flat(batches) == [*range(120)] * 2


def test_the_order_does_not_depend_on_cores_or_threads(shards: Any) -> None:
    import tensorflow as tf

    from penstock.components.trainer.input_pipeline import training_data

    dataset = training_data(shards, number_parser(), InputOptions(shuffle_buffer=20), ONE, Passes(seed=1, epochs=1))
    options = tf.data.Options()
    options.threading.private_threadpool_size = 1
    options.autotune.enabled = False
    assert [label.numpy().tolist() for _, label in dataset.with_options(options)] == train(shards)


@pytest.mark.parametrize("sharding", ["data", "file"])
def test_an_endless_training_goes_on_over_the_passes(shards: Any, sharding: Literal["data", "file"]) -> None:
    plan = BatchPlan(8, replicas=2, workers=2, sharding=sharding)
    endless, counted = (train(shards, plan, Passes(seed=1, epochs=epochs), take=25) for epochs in (None, 4))
    assert endless == counted


@pytest.mark.parametrize("cache", ["none", "memory"])
def test_replicas_and_workers_take_slices_of_the_same_global_batches(
    shards: Any, cache: Literal["none", "memory"]
) -> None:
    split = some(shards, [0, 2, 3, 5, 6])  # 119 rows
    alone = train(split, BatchPlan(12), Passes(seed=1, epochs=2), cache=cache)
    for plan in (BatchPlan(3, 4), BatchPlan(3, 4, 2), BatchPlan(3, 4, 4)):
        shares = [train(split, own, Passes(seed=1, epochs=2), cache=cache) for own in workers_of(plan)]
        together = global_batches(shares, plan)
        assert all(len({len(share[step]) for share in shares}) == 1 for step in range(len(shares[0])))
        # The last batch of a pass, 11 rows, is cut to 8, a multiple of the replicas.
        assert [len(batch) for batch in together] == ([12] * 9 + [8]) * 2
        assert together == [batch[: len(other)] for batch, other in zip(alone, together, strict=True)]


@settings(max_examples=12)
@given(data=st.data())
def test_every_row_once_a_pass_and_again_from_anywhere(shards: Any, data: st.DataObject) -> None:
    split = some(shards, data.draw(st.lists(st.sampled_from([0, 2, 3, 5, 6]), min_size=2, unique=True), label="shards"))
    workers = data.draw(st.integers(1, 2), label="workers")
    plan = BatchPlan(
        data.draw(st.integers(1, 9), label="batch"),
        workers * data.draw(st.integers(1, 2), label="replicas"),
        workers,
        sharding=data.draw(st.sampled_from(["data", "file"]), label="sharding"),
    )
    options: dict[str, Any] = {
        "shuffle_buffer": data.draw(st.sampled_from([0, 10, 500]), label="shuffle"),
        "parallel_reads": data.draw(st.integers(1, 3), label="reads"),
        "cache": data.draw(st.sampled_from(["none", "memory"]), label="cache"),
    }
    steps = plan.steps_per_epoch(split.rows)
    whole = [train(split, own, Passes(seed=3, epochs=2), **options) for own in workers_of(plan)]
    together = global_batches(whole, plan)
    assert len(together) == 2 * steps
    if plan.sharding == "data":
        for seen in (Counter(flat(together[:steps])), Counter(flat(together[steps:]))):
            assert max(seen.values()) == 1
            assert split.rows - plan.replicas < len(seen) <= split.rows
    else:
        for own, batches in zip(workers_of(plan), whole, strict=True):
            rows = sum(split.rows_per_file[split.files.index(file)] for file in files_of(split, own))
            assert max(Counter(flat(batches)[:rows]).values()) == 1
    step = data.draw(st.integers(0, 2 * steps), label="start")
    start = Passes(seed=3, epochs=2, start_epoch=step // steps, start_step=step % steps)
    worker = data.draw(st.integers(0, workers - 1), label="worker")
    resumed = train(split, workers_of(plan)[worker], start, **options)
    assert resumed == whole[worker][step * plan.local_replicas :]


def test_a_worker_whose_files_end_early_goes_on_with_its_next_pass(shards: Any) -> None:
    split = some(shards, [0, 2])  # 40 rows and 7
    plan = BatchPlan(8, replicas=2, workers=2, sharding="file")
    large, small = (train(split, own) for own in workers_of(plan))
    assert [len(batch) for batch in large] == [len(batch) for batch in small] == [8, 8, 7]
    assert sorted(flat(small)[:7]) == sorted(flat(small)[7:14]) == sorted(flat(small)[14:21]) == [*range(40, 47)]
    assert len(set(flat(large))) == 23


def test_static_batches_are_all_full(shards: Any) -> None:
    from penstock.components.trainer.input_pipeline import evaluation_data, training_data

    plan = BatchPlan(8, replicas=2, static_batches=True)
    split = some(shards, [0])
    passes = Passes(seed=1, epochs=2)
    for dataset in (
        training_data(split, number_parser(), InputOptions(), plan, passes),
        evaluation_data(split, number_parser(), InputOptions(), plan),
    ):
        assert {tuple(spec.shape) for spec in dataset.element_spec} == {(8,)}
    assert [len(set(flat(train(split, plan, passes)[at : at + 4]))) for at in (0, 4)] == [32, 32]
    assert evaluate(split, plan) == [[*range(at, at + 8)] for at in (0, 8, 16, 24)]


@pytest.mark.parametrize("static_batches", [False, True])
def test_a_split_smaller_than_the_replicas(shards: Any, *, static_batches: bool) -> None:
    from penstock.components.trainer.input_pipeline import evaluation_data

    split = some(shards, [4])
    plan = BatchPlan(8, replicas=2, static_batches=static_batches)
    with pytest.raises(ArtifactError, match="a batch that cannot be split: 1 row for 2 replicas"):
        train(split, plan)
    if static_batches:
        with pytest.raises(ArtifactError, match="a batch that cannot be split: 1 row for 2 replicas"):
            evaluation_data(split, number_parser(), InputOptions(), plan)
    else:
        assert evaluate(split, plan) == [[119 - 18 - 31], []]


@pytest.mark.parametrize("cache", ["none", "memory"])
@pytest.mark.parametrize("plan", [BatchPlan(8), BatchPlan(4, 2), BatchPlan(2, 4, 2), BatchPlan(16, 6, 3)])
def test_evaluation_sees_every_row_once_in_the_same_order(
    shards: Any, plan: BatchPlan, cache: Literal["none", "memory"]
) -> None:
    shares = [evaluate(shards, own, cache=cache, parallel_reads=1) for own in workers_of(plan)]
    assert flat(global_batches(shares, plan)) == [*range(120)]
    assert {len(share) % plan.local_replicas for share in shares} == {0}


def test_evaluation_by_files_ends_with_empty_batches(shards: Any) -> None:
    plan = BatchPlan(8, replicas=2, workers=2, sharding="file")
    shares = [evaluate(some(shards, [2, 3]), own) for own in workers_of(plan)]
    assert shares == [[[*range(47, 55)], [*range(55, 63)], [*range(63, 70)]], [[*range(40, 47)], [], []]]
    # Fewer files than workers: by rows.
    assert [evaluate(some(shards, [2]), own) for own in workers_of(plan)] == [[[*range(40, 47)]], [[]]]


def test_a_cached_evaluation_reads_no_file_again(tmp_path: Path) -> None:
    import tensorflow as tf

    from penstock.components.trainer.input_pipeline import RowParser, evaluation_data
    from penstock.components.trainer.records import Split

    file = write_shard(tmp_path / "rows.gz", separable_rows(8, seed=1))
    parser = RowParser({"label": tf.io.FixedLenFeature([1], tf.int64)}, dict, ("label",), "label", single=True)
    dataset = evaluation_data(Split((file,), (8,)), parser, InputOptions(cache="memory"), ONE)
    ((before, _),) = dataset
    Path(file).unlink()
    ((after, _),) = dataset
    assert before.numpy().tolist() == after.numpy().tolist()
