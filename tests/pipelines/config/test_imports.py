"""Checking a configuration must stay fast: nothing heavy is imported for it."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.pipelines.config.conftest import Project

HEAVY = ["tensorflow", "tfx", "apache_beam", "ml_metadata", "numpy", "google.protobuf", "rich", "typer", "yaml"]


def test_nothing_heavy_is_imported(project: Project) -> None:
    project.write("p.yaml", Project.HEAD + "beam: {runner: '${env.RUNNER:direct}'}\n" + Project.STEPS)
    code = (
        "import json, sys; from penstock.pipelines.config import load; "
        "load('p.yaml'); print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = json.loads(done.stdout)
    assert "penstock.pipelines.config.loading" in loaded
    assert [name for name in HEAVY if name in loaded] == []
