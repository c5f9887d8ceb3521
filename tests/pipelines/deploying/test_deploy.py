"""``penstock deploy`` against a stand-in for Kubeflow Pipelines: what it sends, prints and ends with."""

import json
from typing import Any

import pytest

from penstock.errors import ConfigError
from tests.pipelines.deploying.conftest import STEPS, TOP, compiled
from tests.pipelines.deploying.kfp_server import Frame
from tests.pipelines.deploying.nodes import pod, tasks

DONE = Frame("SUCCEEDED", tasks(examples="ran", statistics="cached", **{"data-schema": "ran"}))


def frames():
    return [
        Frame("PENDING"),
        Frame("RUNNING", tasks(examples="pending")),
        Frame("RUNNING", tasks(examples="running")),
        Frame("RUNNING", tasks(examples="ran", statistics="driver")),
        Frame("RUNNING", tasks(examples="ran", statistics="cached", **{"data-schema": "running"})),
        DONE,
    ]


def sent(desk, method, path):
    """Return the JSON bodies of the requests to a path."""
    return [json.loads(body) for verb, where, _, body in desk.server.asked if verb == method and where.endswith(path)]


def test_a_run_is_uploaded_started_and_followed_to_its_end(desk):
    desk.server.frames = frames()
    answer = desk.deploy("--run-name", "first")
    assert answer.exit_code == 0
    version = next(iter(desk.server.versions.values())).display_name
    assert answer.output.splitlines()[:-1] == [
        f"compiling small for {desk.host}",
        f"pipeline small, version {version}: new, uploaded",
        f"run first in experiment small: {desk.host}/#/runs/details/run-1",
        "[1/3] ✓ examples       ran  7.0 s",
        "[2/3] = statistics     cached  7.0 s",
        "[3/3] ✓ data_schema    ran  7.0 s",
    ]
    assert answer.output.splitlines()[-1].startswith("first succeeded, followed for ")


def test_what_a_run_is_sent_with(desk):
    desk.deploy("--run-name", "first", "--experiment", "trials", "--param", "epochs=5", "--no-wait")
    assert sent(desk, "POST", "/runs") == [
        {
            "display_name": "first",
            "experiment_id": "experiment-1",
            "pipeline_version_reference": {"pipeline_id": "pipeline-1", "pipeline_version_id": "version-1"},
            "runtime_config": {"parameters": {"epochs": 5}, "pipeline_root": "s3://bucket/small"},
        }
    ]
    assert sent(desk, "POST", "/experiments") == [{"display_name": "trials", "namespace": ""}]
    assert desk.server.versions["version-1"].pipeline_spec == compiled().spec


def test_the_account_and_the_namespace_of_the_config_are_used(desk):
    desk.file = desk.project.pipeline(
        STEPS, top=TOP.replace("{image", "{namespace: team-a, service_account: runner, experiment: trials, image")
    )
    desk.server.multi_user = True
    assert desk.deploy("--no-wait").exit_code == 0
    assert sent(desk, "POST", "/runs")[0]["service_account"] == "runner"
    assert sent(desk, "POST", "/experiments") == [{"display_name": "trials", "namespace": "team-a"}]
    assert sent(desk, "POST", "/pipelines") == [{"display_name": "small", "namespace": "team-a"}]


def test_in_a_pod_the_namespace_is_its_own_and_is_written_nowhere(desk, tmp_path):
    place = tmp_path / "namespace"
    place.write_text("team-pod")
    desk.monkeypatch.setattr("kfp.client.client.Client._NAMESPACE_PATH", str(place))
    desk.server.multi_user = True
    assert desk.deploy("--no-wait").exit_code == 0
    assert sent(desk, "POST", "/experiments") == [{"display_name": "small", "namespace": "team-pod"}]


def test_an_unchanged_pipeline_is_not_uploaded_again(desk):
    first, second = desk.deploy("--no-wait"), desk.deploy("--no-wait")
    assert ": new, uploaded\n" in first.output
    assert ": unchanged, the version that is there is used\n" in second.output
    assert len(desk.server.versions) == len(desk.server.experiments) == 1
    assert len(desk.server.runs) == 2


def test_a_changed_pipeline_is_a_new_version_of_the_same(desk):
    desk.deploy("--no-wait")
    desk.compiles_to(compiled(spec={**compiled().spec, "sdkVersion": "penstock-0.1"}))
    assert ": new version, uploaded\n" in desk.deploy("--no-wait").output
    assert list(desk.server.pipelines) == ["pipeline-1"]
    assert sent(desk, "POST", "/runs")[1]["pipeline_version_reference"]["pipeline_version_id"] == "version-2"


def test_the_settings_of_the_cluster_go_with_it_as_a_second_document(desk):
    platform: dict[str, Any] = {"platforms": {"kubernetes": {"deploymentSpec": {"executors": {}}}}}
    desk.compiles_to(compiled(platform=platform))
    assert desk.deploy("--no-wait").exit_code == 0
    assert desk.server.versions["version-1"].pipeline_spec == {
        "pipeline_spec": compiled().spec,
        "platform_spec": platform,
    }


def test_not_waiting_says_how_to_go_on(desk):
    answer = desk.deploy("--no-wait")
    assert answer.exit_code == 0
    assert answer.output.splitlines()[-3:] == [
        "Not followed.",
        f"  follow it: penstock runs follow run-1 --host {desk.host}",
        f"  stop it:   penstock runs stop run-1 --host {desk.host}",
    ]


def test_what_the_compiler_notes_is_told(desk):
    desk.compiles_to(compiled(notes=("vars.accuracy is compiled in",)))
    assert "\n  note: vars.accuracy is compiled in\n" in desk.deploy("--no-wait").output


def test_as_json(desk):
    desk.server.frames = frames()
    answer = desk.deploy("--json", "--run-name", "first")
    told = json.loads(answer.stdout)
    assert told["run"] == "run-1"
    assert told["page"] == f"{desk.host}/#/runs/details/run-1"
    assert (told["pipeline"], told["outcome"], told["steps"][1]["state"]) == ("small", "succeeded", "cached")
    assert told["published"] == "new pipeline"
    assert "compiling small" in answer.stderr


def test_a_failed_step_ends_with_1_and_its_log(desk):
    desk.server.frames = [
        Frame("RUNNING", tasks(examples="ran", statistics="running")),
        Frame("FAILED", tasks(examples="ran", statistics="failed", **{"data-schema": "omitted"})),
    ]
    desk.server.logs = {pod("statistics"): "reading\nTraceback (most recent call last):\n  …\nValueError: no rows\n"}
    answer = desk.deploy("--run-name", "first")
    assert answer.exit_code == 1
    assert "[2/3] ✗ statistics     failed  7.0 s" in answer.output
    assert "[3/3] · data_schema    not run (statistics failed)" in answer.output
    assert (
        "\nstatistics failed\n"
        "statistics: the step failed; the end of its log:\n"
        "  received: reading\n"
        "    Traceback (most recent call last):\n"
        "      …\n"
        "    ValueError: no rows\n"
    ) in answer.output
    assert answer.output.splitlines()[-1].startswith("first failed, followed for ")


@pytest.mark.parametrize(
    ("module", "what", "hint"),
    [
        (
            "penstock",
            "the step's image has no Penstock",
            "build the image with Penstock in it (penstock image --print)",
        ),
        ("recipes.model", "the step's image has no module recipes.model", "put it into the image"),
    ],
)
def test_an_image_without_what_the_step_needs(desk, module, what, hint):
    desk.server.frames = [Frame("FAILED", tasks(examples="failed"))]
    desk.server.logs = {pod("examples"): f"/usr/bin/python: …\nModuleNotFoundError: No module named '{module}'\n"}
    answer = desk.deploy()
    assert answer.exit_code == 1
    assert f"examples: {what}\n  received: ModuleNotFoundError: No module named '{module}'\n" in answer.output
    assert f"  next: {hint}" in answer.output


def test_a_failed_step_of_which_nobody_says_more(desk):
    desk.server.frames = [Frame("FAILED", tasks(examples="failed"))]
    answer = desk.deploy()
    assert "examples: the step failed; the API says no more\n  next: its log is on the run's page\n" in answer.output


def test_a_run_that_fails_before_its_first_step(desk):
    desk.server.frames = [Frame("FAILED", error="workflow spec is invalid")]
    answer = desk.deploy()
    assert answer.exit_code == 1
    assert "[1/3] · examples       not run (the run has ended)" in answer.output
    assert "the run failed: workflow spec is invalid" in answer.output


def test_a_run_that_somebody_stops(desk):
    desk.server.frames = [
        Frame("RUNNING", tasks(examples="running")),
        Frame("CANCELED", tasks(examples="running")),
    ]
    answer = desk.deploy()
    assert answer.exit_code == 1
    assert "[1/3] ✗ examples       interrupted (the run was stopped)" in answer.output
    assert "[2/3] · statistics     not run (the run was stopped)" in answer.output


def test_ctrl_c_leaves_the_run_going(desk):
    from penstock.pipelines.deploying import follow, terminal

    def interrupt(_seconds: float) -> None:
        raise KeyboardInterrupt

    desk.server.frames = [Frame("RUNNING", tasks(examples="running"))]
    desk.monkeypatch.setattr(terminal, "follow", lambda *args, **options: follow.follow(*args, sleep=interrupt))
    answer = desk.deploy()
    assert answer.exit_code == 130
    assert answer.output.splitlines()[-3:] == [
        "No longer followed; the run goes on.",
        f"  follow it: penstock runs follow run-1 --host {desk.host}",
        f"  stop it:   penstock runs stop run-1 --host {desk.host}",
    ]
    assert not any("terminate" in path for path in desk.server.paths())


def test_ctrl_c_before_the_run_says_that_there_is_none(desk):
    def interrupt(_loaded: object) -> None:
        raise KeyboardInterrupt

    desk.monkeypatch.setattr("penstock.pipelines.cli.deploy.compile_in_worker", interrupt)
    answer = desk.deploy()
    assert answer.exit_code == 130
    assert answer.output.endswith("Interrupted; no run was started, as far as the server has answered.\n")


def test_a_host_must_be_named(desk):
    answer = desk.run("deploy", str(desk.file))
    assert isinstance(answer.exception, ConfigError)
    assert "where Kubeflow Pipelines is was not said" in str(answer.exception)


def test_the_configs_host_will_do(desk):
    desk.file = desk.project.pipeline(STEPS, top=TOP.replace("{image", f'{{host: "{desk.host}", image'))
    assert desk.run("deploy", str(desk.file), "--no-wait").exit_code == 0


def test_a_config_without_the_block(desk):
    desk.file = desk.project.pipeline(
        '  rows: {component: CsvExampleGen, with: {input_base: "data"}}\n', top="pipeline: p\nroot: runs\n"
    )
    desk.project.write("data/rows.csv", "x\n1\n")
    error = desk.refused()
    assert error.exit_code == 2
    assert "p.yaml: the config does not say how it runs on a cluster" in str(error)
