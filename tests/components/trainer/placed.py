"""One task of a cluster that somebody else set up: ``python -m tests.components.trainer.placed REQUEST RESULT``."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from penstock.components.trainer.request import from_json
from penstock.components.trainer.train import train


def main(request: Path, result: Path) -> None:
    properties = train(from_json(request.read_text())).properties
    result.write_text(json.dumps(dict(properties)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
