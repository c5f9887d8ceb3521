"""The artifact that a person means by a step's name, by a run, or by the data that a run has read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence

from penstock.errors import ConfigError
from penstock.metadata import vocabulary
from penstock.metadata.choose import choose_run, is_latest
from penstock.metadata.given import main_output
from penstock.metadata.lineage import MODELS
from penstock.metadata.reader import Reader
from penstock.metadata.records import Artifact
from penstock.metadata.runs import read_run

INPUT_BASE = "input_base"
"""Parameter of TFX's ExampleGens: where they read from."""
_STEP = re.compile(r"(?P<step>[\w-]+)(?:\.(?P<output>\w+))?")


def output_of_step(reader: Reader, text: str) -> Artifact | None:
    """Return what ``step.output``, or a step with one output or one model, gave last; None where there is no such step.

    Raises:
        ConfigError: The step gives several, or nothing of that name.
    """
    match = _STEP.fullmatch(text)
    last = next(iter(reader.newest_of_step(match["step"], 1)), None) if match and reader.pipeline else None
    if match is None or last is None:
        return None
    artifacts = reader.artifacts(last.all_outputs())
    if match["output"] is not None and match["output"] not in last.outputs:
        raise _several(reader, text, f"step {match['step']} has no output {match['output']!r}", last.outputs)
    ids = last.all_outputs() if match["output"] is None else last.outputs[match["output"]]
    found = [artifacts[one] for one in ids if one in artifacts]
    models = [one for one in found if one.type in MODELS]
    for chosen in (found, models):
        if len(chosen) == 1:
            return chosen[0]
    if match["output"] is None and len(last.outputs) != 1:
        raise _several(reader, text, f"step {text} gave several outputs", last.outputs)
    told = ", ".join(
        f"{one.id} ({one.properties['mode']})" if "mode" in one.properties else str(one.id) for one in found
    )
    raise ConfigError(
        f"{text} is {len(found)} artifacts", where=str(reader.location), received=told, hint="name one by its id"
    )


def output_of_run(reader: Reader, text: str) -> Artifact | None:
    """Return the version that a run pushed, else its model, else its last output; None where no run is called so.

    Raises:
        ConfigError: There is no run so far back, or it gave nothing.
    """
    name = text.partition("~")[0]
    if not is_latest(text) and not any(run.id == name for run in reader.runs_named(name)):
        return None
    run = choose_run(reader, text)
    found = main_output(read_run(reader, run))
    if found is None:
        raise ConfigError(f"run {run.id} gave nothing", where=str(reader.location), hint=f"penstock runs show {run.id}")
    return found


def read_from(reader: Reader, places: Sequence[str]) -> Artifact | None:
    """Return the newest Examples that were read from one of some places, None where there are none."""
    newest = reader.find("type = 'Examples'")
    makers = reader.makers(artifact.id for artifact in newest)
    bases = {one.id: makers[one.id].properties.get(INPUT_BASE) for one in newest if one.id in makers}
    return next((one for place in places for one in newest if bases.get(one.id) == place), None)


def step_names(reader: Reader) -> list[str]:
    """Return the steps of the newest run."""
    newest = reader.newest_runs(1)
    try:
        found = json.loads(str(newest[0].facts.get(vocabulary.STEPS, "[]"))) if newest else []
    except ValueError:
        return []
    return list(map(str, found)) if isinstance(found, list) else []


def _several(reader: Reader, text: str, what: str, outputs: Iterable[str]) -> ConfigError:
    step = text.partition(".")[0]
    return ConfigError(
        what,
        where=str(reader.location),
        received=text,
        expected=f"one of {', '.join(f'{step}.{name}' for name in sorted(outputs))}",
    )
