"""What a version of flatbuffers is: a folder for each mode that was blessed, with its ``model.tflite``.

Devices fetch it as files; no model server reads it. So its base path holds flatbuffers only, and those of model servers
hold none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from penstock.components.pusher.publish import Entries, disk, files_of
from penstock.components.pusher.words import is_name
from penstock.errors import ArtifactError, ConfigError
from penstock.serving.manifest import MANIFEST, Manifest
from penstock.serving.versions import versions

FLATBUFFER = "model.tflite"
"""The flatbuffer's file in the folder of its mode."""


@dataclass(frozen=True)
class Flatbuffer:
    """A model as it was converted in one mode.

    Attributes:
        mode: The mode, such as ``int8``; its folder's name in a version.
        folder: The folder with ``model.tflite``.
        blessed: Whether the conversion was blessed.
        reason: Why it was, or was not.
        digest: SHA-256 of ``model.tflite`` when it was measured, in hexadecimal; empty where nobody wrote it down.
    """

    mode: str
    folder: Path
    blessed: bool
    reason: str
    digest: str = ""


def entries_of(flatbuffers: Sequence[Flatbuffer]) -> Entries:
    """Return the files and folders of a version, as (path in it, path).

    Raises:
        ArtifactError: A mode is there twice or is no name of a folder, or a folder has no flatbuffer.
    """
    modes = [flatbuffer.mode for flatbuffer in flatbuffers]
    if not all(map(is_name, modes)) or len(set(modes)) < len(modes):
        raise ArtifactError(
            "the modes of the flatbuffers do not name folders of a version",
            received=", ".join(map(repr, modes)),
            expected="a name of its own for each",
            hint="wire `tflite_model` to one step that converts",
        )
    entries: Entries = []
    for mode, folder in ((flatbuffer.mode, flatbuffer.folder) for flatbuffer in flatbuffers):
        if not (folder / FLATBUFFER).is_file():
            raise ArtifactError(
                f"the conversion of mode {mode!r} has no flatbuffer",
                where=str(folder),
                expected=FLATBUFFER,
                hint="run the step that converts again without cache",
            )
        entries += [(mode, folder), *((f"{mode}/{name}", path) for name, path in files_of(folder))]
    return entries


def require_measured(staged: Path, flatbuffers: Sequence[Flatbuffer]) -> None:
    """Refuse copies of files that are not those that were measured and blessed.

    Args:
        staged: The version that is about to be published.
        flatbuffers: What it was copied from.

    Raises:
        ArtifactError: A file is another one.
    """
    copied = Manifest.from_bytes((staged / MANIFEST).read_bytes()).files
    for flatbuffer in flatbuffers:
        _, digest = copied[f"{flatbuffer.mode}/{FLATBUFFER}"]
        if flatbuffer.digest and digest != flatbuffer.digest:
            raise ArtifactError(
                f"the flatbuffer of mode {flatbuffer.mode!r} is not the one that was blessed",
                where=str(flatbuffer.folder / FLATBUFFER),
                received=f"SHA-256 {digest}",
                expected=f"SHA-256 {flatbuffer.digest}, as it was measured",
                hint="run the step that converts again without cache",
            )


def require_kind(base: Path, *, flatbuffers: bool) -> None:
    """Refuse a base path that holds versions of the other kind: who reads it could not load all of them.

    Args:
        base: The base path.
        flatbuffers: Whether flatbuffers are to be pushed there.

    Raises:
        ConfigError: It holds SavedModels, or flatbuffers, where the other is to be pushed.
        EnvironmentProblem: It cannot be read.
    """
    with disk(base):
        present = versions(base) if base.is_dir() else {}
        others = [name for name in present.values() if bool(modes_of(base / name)) != flatbuffers]
    if others:
        kinds = ("SavedModels", "flatbuffers")
        raise ConfigError(
            f"the destination holds versions of another kind: {kinds[not flatbuffers]}",
            where=str(base),
            received=f"{kinds[flatbuffers]} to push beside version {others[0]}",
            expected=f"a base path of {kinds[flatbuffers]} alone",
            hint="choose another folder",
        )


def modes_of(version: Path) -> tuple[str, ...]:
    """Return the modes of a version of flatbuffers, sorted; none where it is a SavedModel."""
    return tuple(sorted(file.parent.name for file in version.glob(f"*/{FLATBUFFER}")))


def reasons(flatbuffers: Sequence[Flatbuffer]) -> str:
    """Return the modes with their reasons, as one line."""
    return "; ".join(f"{flatbuffer.mode}: {flatbuffer.reason}" for flatbuffer in flatbuffers)
