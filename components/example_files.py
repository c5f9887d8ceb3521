"""The files of the splits of Examples artifacts, for components that read tf.Examples."""

from __future__ import annotations

from collections.abc import Sequence

from tfx import types
from tfx.dsl.io import fileio
from tfx.types import artifact_utils
from tfx.utils import io_utils

from penstock.closest import did_you_mean
from penstock.errors import ArtifactError

_TF_EXAMPLE = "FORMAT_TF_EXAMPLE"


def split_files(
    examples: Sequence[types.Artifact], split: str, only: str, *, key: str | None = None, hint: str | None = None
) -> tuple[str, ...]:
    """Return the files of a split over all artifacts, which are several when spans are joined.

    Args:
        examples: The artifacts.
        split: Name of the split.
        only: What an error says of records that are no tf.Examples.
        key: The parameter that named the split, for an error.
        hint: What to do about records that are no tf.Examples.

    Raises:
        ArtifactError: An artifact holds other records, or has no such split.
    """
    for artifact in examples:
        # tfx.components.util.examples_utils would import all of TFX's components, which takes seconds.
        payload = artifact.get_string_custom_property("payload_format") or _TF_EXAMPLE
        if payload != _TF_EXAMPLE:
            raise ArtifactError(only, where=artifact.uri, received=payload, expected=_TF_EXAMPLE, hint=hint)
        splits = artifact_utils.decode_split_names(artifact.split_names)
        if split not in splits:
            raise ArtifactError(
                f"the examples have no split {split!r}",
                where=artifact.uri,
                received=f"{key}: {split}" if key else split,
                expected=f"one of {', '.join(splits)}",
                hint=did_you_mean(split, splits),
            )
    uris = artifact_utils.get_split_uris(list(examples), split)
    return tuple(file for uri in uris for file in sorted(fileio.glob(io_utils.all_files_pattern(uri))))
