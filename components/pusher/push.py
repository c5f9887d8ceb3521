"""Decides whether a model may be pushed, and pushes it: staged, asked, published, in service, tidied up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from penstock.components.pusher.blessing import Verdicts, require_no_blessing
from penstock.components.pusher.config import PusherConfig
from penstock.components.pusher.flatbuffers import require_kind
from penstock.components.pusher.gate import pass_gate
from penstock.components.pusher.journal import Journal
from penstock.components.pusher.places import Draft, Place, Placed, place_of
from penstock.components.pusher.publish import model_entries
from penstock.components.pusher.roll_out import RollOut, in_service
from penstock.components.pusher.service import Connect, Service, connect
from penstock.components.pusher.warmup import warm_up_requests
from penstock.components.pusher.words import is_url, seconds
from penstock.errors import ConfigError
from penstock.reporting import note, status
from penstock.serving.batching_config import BATCHING_FILE, format_batching
from penstock.serving.models.warmup import WARMUP_FILE


@dataclass(frozen=True)
class PushRequest:
    """What to push, where to and under which condition.

    Attributes:
        model: Folder of the SavedModel.
        config: Where to, as which version, under which labels.
        model_blessed: The Evaluator's verdict; None when there is none.
        infra_blessed: The InfraValidator's verdict; None when there is none.
        row_files: TFRecord files of the rows that warm-up requests are made of; None when none are wired.
        journal: Takes up what an attempt that was killed has published; None where nobody records pushes.
    """

    model: Path
    config: PusherConfig
    model_blessed: bool | None = None
    infra_blessed: bool | None = None
    row_files: tuple[str, ...] | None = None
    journal: Journal | None = None


@dataclass(frozen=True)
class PushResult:
    """The outcome of a push.

    Attributes:
        pushed: Whether a version was published.
        reason: Why it was, or was not.
        version: Number of the published version.
        path: Absolute path, or URL, of the published version.
        digest: SHA-256 over the hashes of all its files, in hexadecimal.
        labels: Label → version of the model, after the push.
        removed: Older versions that were removed.
        modes: The modes of the flatbuffers that were published; none where it was a SavedModel.
    """

    pushed: bool
    reason: str
    version: int | None = None
    path: str | None = None
    digest: str | None = None
    labels: Mapping[str, int] = field(default_factory=dict)
    removed: tuple[int, ...] = ()
    modes: tuple[str, ...] = ()


def push(request: PushRequest, connect: Connect = connect) -> PushResult:
    """Publish the model unless a verdict forbids it.

    Args:
        request: What to push.
        connect: Reaches the model server.

    Raises:
        ArtifactError: The model is no SavedModel or does not pass the predict gate, the version exists, a label names a
            version that does not, or a required blessing is missing.
        ConfigError: The models.config is malformed, or knows the model's name as another model's, or the destination
            holds flatbuffers.
        EnvironmentProblem: The destination cannot be written, or the server did not take the version.
    """
    objection = _objection(request)
    if objection:
        require_no_blessing(request.config, objection)
        return PushResult(pushed=False, reason=objection)
    config, place = request.config, place_of(request.config.destination.base)
    model_entries(request.model)
    if not is_url(place.base):
        require_kind(Path(place.base), flatbuffers=False)
    with in_service(_service(config, place.base), place.present, connect) as roll_out:
        roll_out.check_labels(config.version if isinstance(config.version, int) else None)
        published = _published_before(request, place) or _publish(request, place, roll_out)
        labels = roll_out.run(published.version, f"{published.path}, digest {published.digest}")
        keep, removed = config.keep_versions, []
        if keep is not None:
            removed = roll_out.prune(keep, published.version, place.prune)
    return PushResult(
        pushed=True,
        reason=f"{_verdicts(request).approval()}, published as version {published.version}",
        version=published.version,
        path=published.path,
        digest=published.digest,
        labels=labels,
        removed=tuple(removed),
    )


def _published_before(request: PushRequest, place: Place) -> Placed | None:
    """Return what an attempt at this push published that nobody recorded; in an object store it is not looked for."""
    if request.journal is None or is_url(place.base):
        return None
    found = request.journal.published(Path(place.base))
    if found is None:
        return None
    note(f"version {found.version} is there already: a push of it was ended before it was recorded")
    return Placed(found.version, str(found.path), found.digest)


def _publish(request: PushRequest, place: Place, roll_out: RollOut) -> Placed:
    config, journal = request.config, request.journal
    gate: Callable[[Path], object] = partial(_ask, config)
    if journal is not None and not is_url(place.base):
        gate = journal.noting(Path(place.base), gate)
    extra = _extra_files(request)
    return place.publish(Draft(request.model, config.version, extra, gate, roll_out.used(), roll_out.alone))


def _verdicts(request: PushRequest) -> Verdicts:
    return Verdicts(request.model_blessed, request.infra_blessed)


def _objection(request: PushRequest) -> str | None:
    objection = _verdicts(request).objection()
    if objection or not request.config.require_blessing or _verdicts(request) != Verdicts(None, None):
        return objection
    return "no Evaluator and no InfraValidator judged the model"


def _service(config: PusherConfig, base: str) -> Service:
    return Service(
        name=config.name,
        base=base,
        config=config.config_file,
        grpc=config.destination.grpc,
        labels=config.labels,
        wait_seconds=seconds(config.wait_until_available) if config.wait_until_available else None,
    )


def _extra_files(request: PushRequest) -> dict[str, bytes]:
    """Return what a server reads beside the model: how to batch, and what to answer before it serves."""
    config, files = request.config, {}
    if config.batching is not None:
        files[BATCHING_FILE] = format_batching(**config.batching.model_dump(exclude_none=True)).encode()
    if config.warmup is not None:
        status("making warm-up requests of real rows")
        made = warm_up_requests(request.model, config.name, _row_files(request), config.warmup.rows)
        for signature in made.left_out:
            note(f"warm-up: signature {signature!r} takes no rows of `examples` and is not asked")
        files[WARMUP_FILE] = made.content
    return files


def _row_files(request: PushRequest) -> tuple[str, ...]:
    if request.row_files is None:
        raise ConfigError(
            "there are no rows to make warm-up requests of",
            received="`warmup` without an input `examples`",
            expected="raw examples",
            hint="wire examples: <step>.examples, or leave `warmup` out",
        )
    return request.row_files


def _ask(config: PusherConfig, staged: Path) -> None:
    status("predict gate: asking the copy that is to be published, in a clean process")
    note(f"predict gate: {pass_gate(staged, seconds(config.gate_timeout))}")
