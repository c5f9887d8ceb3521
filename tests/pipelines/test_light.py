"""What is checked without TensorFlow never imports it."""

import json
import subprocess
import sys

import pytest

from tests.metadata.run_files import History, whole_run
from tests.pipelines.models.pushed import configure, push

HEAVY = {
    "tensorflow",
    "tfx",
    "apache_beam",
    "keras",
    "numpy",
    "tensorflow_model_analysis",
    "ml_metadata",
    "google.protobuf",
    "kubernetes",
    "docker",
    "kfp",
}
CLUSTER = """
kubeflow: {image: "r/p:1", volumes: [{claim: c, path: /v}]}
steps: {examples: {with: {input_base: /v/data}}, pusher: {with: {destination: {directory: /v/out}}}}
"""
SCRIPT = """
import json, sys
sys.argv[0] = "penstock"
from penstock.pipelines.cli.app import app
try:
    app()
except SystemExit as end:
    code = end.code
print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "command",
    [
        ["validate", "p.yaml"],
        ["schema"],
        ["doctor"],
        ["--version"],
        ["--help"],
        ["run", "--help"],
        ["serve", "--help"],
        ["models", "--help"],
        ["report", "--help"],
        ["gc", "--help"],
        ["metadata", "export", "--help"],
        ["models", "promote", "--help"],
        ["request", "--help"],
        ["convert", "--help"],
        ["infer", "--help"],
        ["image", "--help"],
        ["image", "--print"],
        ["compile", "--help"],
        ["validate", "cluster.yaml"],
        ["init", "new"],
    ],
)
def test_light_commands_import_nothing_heavy(project, command):
    project.write("data/rows.csv", "x,label\n1,0\n")
    project.write("code.py", "def build_model(context): ...\n")
    project.write("cluster.yaml", "extends: p.yaml\nroot: gs://b/p\n" + CLUSTER)
    project.pipeline(
        "  examples: {component: CsvExampleGen, with: {input_base: data}}\n"
        "  trainer: {component: Trainer, with: {model_fn: code.build_model, label: label}}\n"
        "  pusher: {component: Pusher, with: {destination: {directory: out}}}\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, *command], cwd=project.folder, capture_output=True, text=True, check=True
    )
    code, modules = json.loads(ended.stderr.splitlines()[-1])
    assert code == 0, ended.stdout
    assert HEAVY.isdisjoint(modules)


def test_validate_needs_no_rich(project):
    project.write("data/rows.csv", "x,label\n1,0\n")
    project.pipeline("  examples: {component: CsvExampleGen, with: {input_base: data}}\n")
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, "validate", "p.yaml"],
        cwd=project.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "rich" not in json.loads(ended.stderr.splitlines()[-1])[1]


@pytest.mark.parametrize(
    "command",
    [
        ["serve", "--print-command"],
        ["models", "list"],
        ["models", "show", "digits/1"],
        ["models", "promote", "digits", "2"],
        ["models", "verify"],
        ["models", "prune", "digits", "--keep", "1"],
    ],
)
def test_commands_about_models_never_import_tensorflow(project, command):
    push(project.folder / "serving" / "digits", 1, 2)
    configure(project.folder / "serving" / "digits", stable=1)
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, *command], cwd=project.folder, capture_output=True, text=True, check=True
    )
    code, modules = json.loads(ended.stderr.splitlines()[-1])
    assert code == 0, ended.stderr
    assert {"tensorflow", "tfx", "apache_beam", "keras"}.isdisjoint(modules)


@pytest.mark.parametrize(
    "command", [["report"], ["gc", "p.yaml"], ["metadata", "export"], ["metadata", "export", "--format", "openlineage"]]
)
def test_commands_about_history_never_import_tensorflow(project, command):
    project.write("data/rows.csv", "x,label\n1,0\n")
    project.pipeline("  examples: {component: CsvExampleGen, with: {input_base: data}}\n")
    whole_run(History(project.folder / "runs", "p"), "r1")
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, *command], cwd=project.folder, capture_output=True, text=True, check=True
    )
    code, modules = json.loads(ended.stderr.splitlines()[-1])
    assert code == 0, ended.stderr
    assert {"tensorflow", "tfx", "apache_beam", "keras"}.isdisjoint(modules)
