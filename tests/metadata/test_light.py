"""Questions to ML Metadata never import TensorFlow, TFX or Beam."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.metadata.history import two_runs

SCRIPT = """
import json, sys
from penstock.pipelines.cli.app import app
try:
    app(sys.argv[1:], standalone_mode=False)
finally:
    print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})), file=sys.stderr)
"""


def test_no_question_imports_tensorflow(tmp_path):
    store = two_runs(tmp_path / "metadata.sqlite").file
    for words in (["runs", "list"], ["runs", "show", "latest"], ["runs", "diff"], ["lineage"]):
        command = [sys.executable, "-c", SCRIPT, *words, "--in", str(store)]
        ended = subprocess.run(command, capture_output=True, text=True, check=True)
        loaded = json.loads(ended.stderr.splitlines()[-1])
        assert "ml_metadata" in loaded
        assert not {"tensorflow", "tfx", "apache_beam", "keras", "kfp"} & set(loaded)
