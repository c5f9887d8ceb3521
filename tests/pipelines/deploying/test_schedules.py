"""A config's schedule becomes a recurring run on Kubeflow."""

import json

import pytest

from penstock.pipelines.deploying.submit import utc
from tests.pipelines.deploying.conftest import STEPS, TOP


@pytest.fixture
def nightly(desk):
    schedule = '{cron: "0 3 * * 1-5", start: 2026-12-01T00:00:00+01:00, max_concurrent: 2}'
    desk.file = desk.project.pipeline(STEPS, top=TOP.replace("{image", f"{{schedule: {schedule}, image"))
    return desk


def sent(desk):
    return [
        json.loads(body) for verb, path, _, body in desk.server.asked if (verb, path[-13:]) == ("POST", "recurringruns")
    ]


def test_a_schedule_is_made_and_nothing_is_run(nightly):
    answer = nightly.deploy("--param", "epochs=7")
    assert answer.exit_code == 0
    assert answer.output.splitlines()[-1] == (
        f"schedule small: 0 3 * * 1-5 UTC: {nightly.host}/#/recurringrun/details/schedule-1"
    )
    assert not nightly.server.runs
    assert sent(nightly) == [
        {
            "display_name": "small",
            "description": "deployed by penstock",
            "experiment_id": "experiment-1",
            "pipeline_version_reference": {"pipeline_id": "pipeline-1", "pipeline_version_id": "version-1"},
            "runtime_config": {"parameters": {"epochs": 7}, "pipeline_root": "s3://bucket/small"},
            "trigger": {"cron_schedule": {"cron": "0 0 3 * * 1-5", "start_time": "2026-11-30T23:00:00Z"}},
            "max_concurrency": 2,
            "no_catchup": True,
            "mode": "ENABLE",
        }
    ]


def test_deploying_again_disables_what_an_earlier_deployment_made(nightly):
    nightly.deploy()
    theirs = nightly.server.schedules["schedule-1"]
    answer = nightly.deploy()
    assert answer.output.endswith("  1 earlier schedule of this pipeline disabled\n")
    assert [one.status for one in nightly.server.schedules.values()] == ["DISABLED", "ENABLED"]
    theirs.description, theirs.status = "made by hand", "ENABLED"
    nightly.deploy()
    assert theirs.status == "ENABLED"


def test_a_refused_schedule_leaves_the_earlier_one(nightly):
    nightly.deploy()
    nightly.server.answers = [
        ("/recurringruns", 200, '{"recurringRuns": []}'),
        ("/recurringruns", 400, '{"message": "cron"}'),
    ]
    assert nightly.refused().what == "the server refused to make the schedule"
    assert nightly.server.schedules["schedule-1"].status == "ENABLED"


def test_once_runs_it_now_and_leaves_the_schedule(nightly):
    assert nightly.deploy("--once", "--no-wait").exit_code == 0
    assert list(nightly.server.runs) == ["run-1"]
    assert not nightly.server.schedules


def test_a_schedule_that_is_not_enabled(desk):
    top = TOP.replace("{image", '{schedule: {cron: "0 3 * * *", enabled: false, catch_up: true}, image')
    desk.file = desk.project.pipeline(STEPS, top=top)
    assert "schedule small: 0 3 * * * UTC, not enabled: " in desk.deploy().output
    (found,) = sent(desk)
    assert (found["mode"], found["no_catchup"]) == ("DISABLE", False)


def test_as_json(nightly):
    told = json.loads(nightly.deploy("--json").stdout)
    assert told == {
        "pipeline": "small",
        "version": nightly.server.versions["version-1"].display_name,
        "published": "new pipeline",
        "schedule": "schedule-1",
        "disabled": 0,
        "page": f"{nightly.host}/#/recurringrun/details/schedule-1",
    }


def test_times_go_out_in_utc():
    from datetime import UTC, datetime, timedelta, timezone

    assert utc(None) is None
    assert utc(datetime(2026, 12, 1, 12, tzinfo=UTC).replace(tzinfo=None)) == "2026-12-01T12:00:00Z"
    assert utc(datetime(2026, 12, 1, 12, tzinfo=timezone(timedelta(hours=1)))) == "2026-12-01T11:00:00Z"
