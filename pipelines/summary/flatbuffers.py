"""What a TFLiteConverter made: a flatbuffer a mode, blessed or not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from penstock.components.tflite_converter.words import bytes_text, drop_text
from penstock.metadata import Artifact

_REPORT = "report.md"


@dataclass(frozen=True)
class Flatbuffer:
    """One mode; ``size_bytes`` is None where it could not be converted, ``drop`` where no metric was asked for."""

    mode: str
    blessed: bool
    reason: str
    size_bytes: int | None
    metric: str | None
    drop: float | None


@dataclass(frozen=True)
class Flatbuffers:
    """What one step made; ``report`` is the table of all modes."""

    step: str
    report: str
    modes: list[Flatbuffer]


def read_flatbuffers(step: str, artifacts: Sequence[Artifact]) -> Flatbuffers:
    """Return what ``step`` made; ``artifacts`` are its TFLiteModels, at least one."""
    modes = [_flatbuffer(artifact) for artifact in artifacts]
    return Flatbuffers(step, str(Path(artifacts[0].uri).parent / _REPORT), modes)


def _flatbuffer(artifact: Artifact) -> Flatbuffer:
    properties = artifact.properties
    size, drop = properties.get("size_bytes"), properties.get("drop")
    return Flatbuffer(
        mode=str(properties.get("mode", "")),
        blessed=properties.get("blessed") == 1,
        reason=str(properties.get("reason", "")),
        size_bytes=None if size is None else int(size),
        metric=str(properties["metric"]) if "metric" in properties else None,
        drop=None if drop is None else float(drop),
    )


def flatbuffer_lines(found: Flatbuffers, shown_report: str) -> Iterator[str]:
    """Yield what a person reads of it: one line for what is blessed, one a mode for what is not."""
    blessed = [_described(each) for each in found.modes if each.blessed]
    yield f"\nFlatbuffers, {found.step}: {'blessed ' + '; '.join(blessed) if blessed else 'none is blessed'}"
    yield from (f"  not {each.mode}: {each.reason}" for each in found.modes if not each.blessed)
    yield f"  {shown_report}"


def _described(flatbuffer: Flatbuffer) -> str:
    size = "" if flatbuffer.size_bytes is None else f" {bytes_text(flatbuffer.size_bytes)}"
    drop = "" if flatbuffer.drop is None else f", {flatbuffer.metric} {drop_text(flatbuffer.drop)}"
    return f"{flatbuffer.mode}{size}{drop}"
