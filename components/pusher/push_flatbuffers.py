"""Pushes the flatbuffers of a model that were blessed: staged, asked, published, tidied up."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from penstock.components.pusher import retention
from penstock.components.pusher.blessing import Verdicts, require_no_blessing
from penstock.components.pusher.config import PusherConfig
from penstock.components.pusher.flatbuffer_gate import pass_flatbuffer_gate
from penstock.components.pusher.flatbuffers import Flatbuffer, entries_of, reasons, require_kind, require_measured
from penstock.components.pusher.journal import Journal
from penstock.components.pusher.publish import disk, publish_files
from penstock.components.pusher.push import PushResult
from penstock.components.pusher.words import seconds
from penstock.reporting import note, status


@dataclass(frozen=True)
class FlatbufferRequest:
    """What to push, where to and under which condition.

    Attributes:
        flatbuffers: The model in each mode that it was converted in, blessed or not.
        config: Where to and as which version.
        verdicts: What was said of the model itself.
        journal: As for a SavedModel.
    """

    flatbuffers: tuple[Flatbuffer, ...]
    config: PusherConfig
    verdicts: Verdicts
    journal: Journal | None = None


def push_flatbuffers(request: FlatbufferRequest) -> PushResult:
    """Publish the modes that are blessed as one version, unless a verdict on the model forbids it.

    Args:
        request: What to push.

    Raises:
        ArtifactError: A flatbuffer is not the one that was blessed or does not pass the predict gate, the version
            exists, or a required blessing is missing.
        ConfigError: The destination holds SavedModels.
        EnvironmentProblem: The destination cannot be written.
    """
    config = request.config
    blessed = [flatbuffer for flatbuffer in request.flatbuffers if flatbuffer.blessed]
    left_out = reasons([flatbuffer for flatbuffer in request.flatbuffers if not flatbuffer.blessed])
    objection = request.verdicts.objection()
    if objection is None and not blessed:
        objection = f"no mode is blessed: {left_out}" if left_out else "there is no flatbuffer"
    if objection:
        require_no_blessing(config, objection)
        return PushResult(pushed=False, reason=objection)

    def gate(staged: Path) -> None:
        require_measured(staged, blessed)
        status("predict gate: asking the flatbuffers that are to be published, in a clean process")
        note(f"predict gate: {pass_flatbuffer_gate(staged, seconds(config.gate_timeout))}")

    base = Path(config.destination.base).absolute()
    with disk(base):
        entries = entries_of(blessed)
    require_kind(base, flatbuffers=True)
    journal = request.journal
    published = journal.published(base) if journal is not None else None
    if published is None:
        noted = gate if journal is None else journal.noting(base, gate)
        published = publish_files(entries, base, config.version, gate=noted)
    keep = config.keep_versions
    removed = retention.prune(base, keep, {published.version}) if keep is not None else ()
    modes = tuple(flatbuffer.mode for flatbuffer in blessed)
    judges = request.verdicts.approval("TFLiteConverter")
    reason = f"{judges}, published as version {published.version}: {', '.join(modes)}"
    return PushResult(
        pushed=True,
        reason=f"{reason}; left out: {left_out}" if left_out else reason,
        version=published.version,
        path=str(published.path),
        digest=published.digest,
        removed=removed,
        modes=modes,
    )
