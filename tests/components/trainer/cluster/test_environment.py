from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.components.trainer.cluster.environment import assigned_task, from_environment, vertex_folder
from penstock.components.trainer.cluster.topology import Cluster, Task
from penstock.errors import EnvironmentProblem

VERTEX_SPEC = {
    "cluster": {
        "workerpool0": ["cmle-training-workerpool0-ab-0:2222"],
        "workerpool1": ["cmle-training-workerpool1-ab-0:2222", "cmle-training-workerpool1-ab-1:2222"],
        "workerpool2": ["cmle-training-workerpool2-ab-0:2222"],
        "workerpool3": [],
    },
    "environment": "cloud",
    "task": {"type": "workerpool1", "index": 1, "trial": "1"},
    "job": {"worker_pool_specs": []},
}
UNSET = "or unset it: Penstock then starts the tasks on this machine"


def tf_config(cluster: Any, task: Any = None) -> dict[str, str]:
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": task or {"type": "worker", "index": 0}})}


class TestTfConfig:
    def test_a_worker(self) -> None:
        cluster = {"chief": ["a:1"], "worker": ["b:2", "10.0.0.1:2222"], "ps": ["[::1]:3"]}
        found = from_environment(tf_config(cluster, {"type": "worker", "index": 1, "cloud": "x"}))
        assert found == (
            Cluster({"chief": ("a:1",), "worker": ("b:2", "10.0.0.1:2222"), "ps": ("[::1]:3",)}),
            Task("worker", 1),
        )

    def test_what_was_written_is_read(self) -> None:
        cluster = Cluster({"chief": ("a:1",), "worker": ("b:1", "c:1"), "ps": ("d:1",)})
        for task in cluster.tasks:
            assert from_environment({"TF_CONFIG": cluster.tf_config(task)}) == (cluster, task)

    def test_master_is_the_chief(self) -> None:
        found = from_environment(tf_config({"master": ["a:1"], "worker": ["b:1"]}, {"type": "master", "index": 0}))
        assert found == (Cluster({"chief": ("a:1",), "worker": ("b:1",)}), Task("chief", 0))

    def test_an_index_as_text(self) -> None:
        found = from_environment(tf_config({"worker": ["a:1", "b:1"]}, {"type": "worker", "index": "1"}))
        assert found is not None
        assert found[1] == Task("worker", 1)

    def test_an_evaluator_need_not_be_listed(self) -> None:
        found = from_environment(tf_config({"worker": ["a:1"]}, {"type": "evaluator", "index": 0}))
        assert found == (Cluster({"worker": ("a:1",)}), Task("evaluator", 0))

    @pytest.mark.parametrize(
        "environ",
        [
            {},
            {"TF_CONFIG": ""},
            {"TF_CONFIG": "{}"},
            {"TF_CONFIG": '{"task": {"type": "worker", "index": 0}}'},
            tf_config({}),
            tf_config(None),
            tf_config({"worker": [], "ps": None}),
            tf_config({"worker": ["a:1"]}),
        ],
    )
    def test_no_cluster(self, environ: dict[str, str]) -> None:
        assert from_environment(environ) is None

    @pytest.mark.parametrize(
        ("text", "what", "received", "expected"),
        [
            (
                "{worker",
                "is not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
                "'{worker'",
                "a JSON object",
            ),
            ("[1]", "is no JSON object", "[1]", '{"cluster": {…}, "task": {…}}'),
            (
                '{"cluster": ["a:1"]}',
                "does not map types of tasks to addresses",
                "['a:1']",
                '{"worker": ["host:port", …], …}',
            ),
            (
                '{"cluster": {"worker": "a:1"}}',
                "does not list the addresses of 'worker'",
                "'a:1'",
                '["host:port", …]',
            ),
            ('{"cluster": {"worker": ["a"]}}', "has a wrong address of 'worker'", "'a'", "host:port"),
            ('{"cluster": {"worker": ["a:0"]}}', "has a wrong address of 'worker'", "'a:0'", "host:port"),
            ('{"cluster": {"worker": ["a:65536"]}}', "has a wrong address of 'worker'", "'a:65536'", "host:port"),
            ('{"cluster": {"worker": ["grpc://a:1"]}}', "has a wrong address of 'worker'", "'grpc://a:1'", "host:port"),
            ('{"cluster": {"worker": [2222]}}', "has a wrong address of 'worker'", "2222", "host:port"),
            (
                '{"cluster": {"worker": ["a:1", "b:1"], "ps": ["a:1"]}}',
                "gives several tasks one address",
                "a:1",
                "an address of its own for each",
            ),
            ('{"cluster": {"chief": ["a:1", "b:1"]}}', "has more than one chief", "a:1, b:1", "at most 1 chief"),
            (
                '{"cluster": {"chief": ["a:1"], "master": ["b:1"]}}',
                "has more than one chief",
                "a:1, b:1",
                "at most 1 chief",
            ),
            (
                '{"cluster": {"worker": ["a:1", "b:1"]}}',
                "does not say which task this is",
                '"task": None',
                '"task": {"type": "worker", "index": 0}',
            ),
            (
                '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker"}}',
                "does not say which task this is",
                "\"task\": {'type': 'worker'}",
                '"task": {"type": "worker", "index": 0}',
            ),
            (
                '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}}',
                "lacks this task",
                "type worker, index 2",
                "one of worker 0, worker 1",
            ),
            (
                '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "ps", "index": 0}}',
                "lacks this task",
                "type ps, index 0",
                "one of worker 0, worker 1",
            ),
            *(
                (
                    f'{{"cluster": {{"worker": ["a:1", "b:1"]}}, "task": {{"type": "worker", "index": {index}}}}}',
                    "lacks this task",
                    f"type worker, index {shown}",
                    "one of worker 0, worker 1",
                )
                for index, shown in (("-1", "-1"), ("true", "True"), ("1.0", "1.0"), ('"x"', "'x'"), ("null", "None"))
            ),
        ],
    )
    def test_mistakes(self, text: str, what: str, received: str, expected: str) -> None:
        with pytest.raises(EnvironmentProblem) as raised:
            from_environment({"TF_CONFIG": text})
        assert str(raised.value) == (
            f"TF_CONFIG {what}\n  received: {received}\n  expected: {expected}\n  next: correct TF_CONFIG, {UNSET}"
        )

    def test_a_misspelt_type(self) -> None:
        with pytest.raises(EnvironmentProblem) as raised:
            from_environment(tf_config({"workers": ["a:1", "b:1"]}))
        assert str(raised.value) == (
            "TF_CONFIG has an unknown type of task\n"
            "  received: 'workers'\n"
            "  expected: one of chief, master, worker, ps, evaluator\n"
            "  next: did you mean 'worker'?"
        )

    def test_deep_nesting(self) -> None:
        with pytest.raises(EnvironmentProblem, match="TF_CONFIG is not JSON: maximum recursion depth exceeded"):
            from_environment({"TF_CONFIG": "[" * 100_000})


class TestClusterSpec:
    def test_as_documented(self) -> None:
        assert from_environment({"CLUSTER_SPEC": json.dumps(VERTEX_SPEC)}) == (
            Cluster(
                {
                    "chief": ("cmle-training-workerpool0-ab-0:2222",),
                    "worker": ("cmle-training-workerpool1-ab-0:2222", "cmle-training-workerpool1-ab-1:2222"),
                    "ps": ("cmle-training-workerpool2-ab-0:2222",),
                }
            ),
            Task("worker", 1),
        )

    def test_a_job_of_one_machine(self) -> None:
        spec = {"cluster": {"workerpool0": ["a:2222"]}, "task": {"type": "workerpool0", "index": 0}}
        assert from_environment({"CLUSTER_SPEC": json.dumps(spec)}) is None

    def test_tf_config_comes_first(self) -> None:
        environ = {"CLUSTER_SPEC": json.dumps(VERTEX_SPEC), **tf_config({"worker": ["a:1", "b:1"]})}
        assert from_environment(environ) == (Cluster({"worker": ("a:1", "b:1")}), Task("worker", 0))

    def test_not_of_vertex(self) -> None:
        with pytest.raises(EnvironmentProblem) as raised:
            from_environment({"CLUSTER_SPEC": '{"cluster": {"x": ["a:1"]}}'})
        assert str(raised.value) == (
            "CLUSTER_SPEC has an unknown type of task\n"
            "  received: 'x'\n"
            "  expected: one of workerpool0, workerpool1, workerpool2, workerpool3\n"
            f"  next: correct CLUSTER_SPEC, {UNSET}"
        )


class TestAssignedTask:
    def test_a_cluster_of_one(self) -> None:
        assert assigned_task(tf_config({"worker": ["a:1"]})) == (Cluster({"worker": ("a:1",)}), Task("worker", 0))

    def test_started_by_hand(self) -> None:
        with pytest.raises(EnvironmentProblem) as raised:
            assigned_task({})
        assert str(raised.value) == (
            "this program is one task of a cluster, and TF_CONFIG does not say which\n"
            "  received: no TF_CONFIG\n"
            '  expected: {"cluster": {"worker": ["host:port", …]}, "task": {"type": "worker", "index": 0}}\n'
            "  next: run the pipeline: Penstock starts the tasks"
        )


NAMES = st.sampled_from(["chief", "master", "worker", "ps", "evaluator", "workerpool0", "workerpool1", "type", "index"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | NAMES | st.from_regex(r"[a-c]:[0-9]{1,6}"),
    lambda inner: st.lists(inner) | st.dictionaries(NAMES | st.text(), inner),
    max_leaves=20,
)
ADDRESSES = st.lists(st.from_regex(r"[a-c]:[1-9]", fullmatch=True), max_size=3)
NEARLY = st.fixed_dictionaries(
    {},
    optional={
        "cluster": JSON | st.dictionaries(NAMES, ADDRESSES | JSON, max_size=3),
        "task": JSON | st.fixed_dictionaries({"type": NAMES | JSON, "index": st.integers(-1, 3) | JSON}),
    },
)


@given(st.sampled_from(["TF_CONFIG", "CLUSTER_SPEC"]), st.text() | (JSON | NEARLY).map(json.dumps))
def test_any_text_gives_a_cluster_or_one_error(variable: str, text: str) -> None:
    try:
        found = from_environment({variable: text})
    except EnvironmentProblem as error:
        found = None
        message = str(error)
        message.encode()
        assert message.startswith(f"{variable} ")
        assert len(message) < 3000
    assert found is None or found[1] in found[0].tasks or found[1].type == "evaluator"


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({}, None),
        ({"AIP_CHECKPOINT_DIR": ""}, None),
        ({"AIP_CHECKPOINT_DIR": "gs://bucket/job/checkpoints/"}, Path("/gcs/bucket/job/checkpoints")),
        ({"AIP_CHECKPOINT_DIR": "/mnt/gs/checkpoints"}, Path("/mnt/gs/checkpoints")),
    ],
)
def test_where_vertex_wants_checkpoints(environ: dict[str, str], folder: Path | None) -> None:
    assert vertex_folder(environ, "AIP_CHECKPOINT_DIR") == folder
