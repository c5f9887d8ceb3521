"""The flatbuffers that were made of a model, as a metadata store tells of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from penstock.metadata.provenance import CONVERTED_MODEL, Provenance
from penstock.metadata.records import Value


@dataclass(frozen=True)
class Converted:
    """A flatbuffer, as far as it was measured.

    Attributes:
        mode: Its mode, such as ``int8``.
        blessed: Whether it was blessed.
        reason: Why it was, or was not.
        size_bytes: Its size, in bytes.
        metric: Name of the metric that it was judged by.
        value: That metric's value.
        drop: How much worse that is than the SavedModel's.
    """

    mode: str
    blessed: bool
    reason: str
    size_bytes: int | None = None
    metric: str | None = None
    value: float | None = None
    drop: float | None = None

    def __str__(self) -> str:
        figures = [self.mode]
        if self.size_bytes is not None:
            figures.append(f"{self.size_bytes / 1000:.1f} kB")
        if self.metric is not None and self.value is not None:
            figures.append(f"{self.metric} {self.value:.4g}")
        if self.drop is not None:
            figures.append(f"(drop {self.drop:.4g})")
        return " ".join([*figures, "blessed" if self.blessed else f"not blessed: {self.reason}"])


def conversions(known: Provenance) -> tuple[Converted, ...]:
    """Return the flatbuffers that were made of a model, the last of each mode."""
    made = (found.artifact for found in known.findings if found.artifact.type == CONVERTED_MODEL)
    return tuple({str(one.properties.get("mode", "")): _converted(one.properties) for one in made}.values())


def _converted(facts: Mapping[str, Value]) -> Converted:
    return Converted(
        mode=str(facts.get("mode", "")),
        blessed=facts.get("blessed") == 1,
        reason=str(facts.get("reason", "")),
        size_bytes=int(facts["size_bytes"]) if "size_bytes" in facts else None,
        metric=str(facts["metric"]) if "metric" in facts else None,
        value=float(facts["metric_value"]) if "metric_value" in facts else None,
        drop=float(facts["drop"]) if "drop" in facts else None,
    )
