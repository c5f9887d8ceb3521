"""Which of the ways to feed a signature fits an input; what does not fit is told before the first row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from penstock.closest import did_you_mean
from penstock.components.batch_inference.features.arrays import value_type
from penstock.components.batch_inference.features.converted import FeatureMap
from penstock.components.batch_inference.features.example_spec import ExampleFeature
from penstock.components.batch_inference.features.gather import sources_of
from penstock.components.batch_inference.features.maps import (
    ColumnInputs,
    EncodedExamples,
    ParsedExamples,
    WholeRecords,
    told,
)
from penstock.components.batch_inference.words import InputFormat
from penstock.errors import ConfigError
from penstock.serving.saved_model import SignatureInfo


@dataclass(frozen=True)
class Offer:
    """What an input has.

    Attributes:
        format: Its format.
        schema: Its columns; of tf.Examples, the features of the first ones. A list of files has none.
        where: A file that has them.
    """

    format: InputFormat
    schema: pa.Schema
    where: str

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(self.schema.names)


def feature_map(signature: SignatureInfo, offer: Offer, features: Sequence[ExampleFeature]) -> FeatureMap:
    """Return how an input feeds a signature.

    Args:
        signature: What is asked.
        offer: What there is.
        features: What the model parses out of serialized Examples, as far as that is known.

    Raises:
        ConfigError: A feature is missing, or the signature takes what the format does not have.
    """
    _require_batches(signature, offer)
    if offer.format == "file_list":
        return WholeRecords(_only_text(signature, offer), "the bytes of each file that the list names")
    if offer.format == "tfrecord":
        text = _one_text(signature)
        if text is not None and (features or text not in offer.columns):
            _present(features, offer)
            return WholeRecords(text, "each tf.Example as it is", tuple(features))
        _require_parsable(signature, offer)
        if lacking := [spec.name for spec in signature.inputs if spec.name not in offer.columns]:
            raise _lacking(lacking, signature, offer)
        return ParsedExamples(signature.inputs)
    sources = sources_of(signature.inputs, offer.columns)
    missing = [spec.name for spec in signature.inputs if spec.name not in sources]
    text = _one_text(signature)
    if missing and text is not None and features:
        present = _present(features, offer)
        return EncodedExamples(text, present, sources_of([feature.spec for feature in present], offer.columns))
    if missing and len(signature.inputs) == len(offer.columns) == 1:
        return ColumnInputs(signature.inputs, {signature.inputs[0].name: (offer.columns[0],)})
    if missing:
        raise _lacking(missing, signature, offer)
    return ColumnInputs(signature.inputs, sources)


def _require_batches(signature: SignatureInfo, offer: Offer) -> None:
    for spec in signature.inputs:
        if spec.shape == () or (spec.shape and spec.shape[0] is not None):
            raise ConfigError(
                f"the signature {signature.name!r} takes no batches",
                received=told(spec),
                expected="inputs whose first dimension is open",
                hint="choose another signature, or export one that takes batches",
            )
        if value_type(spec) is None:
            raise ConfigError(
                f"the signature {signature.name!r} takes a type that {offer.format} has not", received=told(spec)
            )


def _one_text(signature: SignatureInfo) -> str | None:
    """Return the name of the one input, if it takes texts."""
    inputs = signature.inputs
    if len(inputs) == 1 and inputs[0].dtype == "string" and (inputs[0].shape is None or len(inputs[0].shape) == 1):
        return inputs[0].name
    return None


def _only_text(signature: SignatureInfo, offer: Offer) -> str:
    text = _one_text(signature)
    if text is None:
        raise ConfigError(
            f"the signature {signature.name!r} does not take files as they are",
            where=offer.where,
            received="; ".join(told(spec) for spec in signature.inputs),
            expected="one input of texts, shape [rows]",
            hint="choose a signature that decodes the files itself",
        )
    return text


def _require_parsable(signature: SignatureInfo, offer: Offer) -> None:
    for spec in signature.inputs:
        if spec.shape is None or (None in spec.shape[1:] and len(spec.shape) != 2):
            raise ConfigError(
                f"the signature {signature.name!r} takes shapes that tf.Examples do not have",
                where=offer.where,
                received=told(spec),
                expected="known dimensions besides the rows, or a single open one",
            )


def _present(features: Sequence[ExampleFeature], offer: Offer) -> tuple[ExampleFeature, ...]:
    """Return the features that the input has columns for.

    Raises:
        ConfigError: It lacks one that the model requires, or has none of them at all.
    """
    # Optional features that are not there leave the numbered columns to the one that is required.
    named = [feature for feature in features if feature.required or sources_of([feature.spec], offer.columns)]
    there = (
        offer.columns if offer.format == "tfrecord" else sources_of([feature.spec for feature in named], offer.columns)
    )
    missing = [feature for feature in features if feature.required and feature.name not in there]
    present = tuple(feature for feature in features if feature.name in there)
    if missing or (features and not present):
        names = [feature.name for feature in missing or features]
        raise ConfigError(
            f"the input lacks {_listed(names)}, which the model parses",
            where=offer.where,
            received=f"columns {', '.join(offer.columns) or 'none'}",
            expected="; ".join(feature.told for feature in features),
            hint=did_you_mean(names[0], offer.columns),
        )
    return present


def _lacking(missing: Sequence[str], signature: SignatureInfo, offer: Offer) -> ConfigError:
    return ConfigError(
        f"the input lacks {_listed(missing)} of signature {signature.name!r}",
        where=offer.where,
        received=f"columns {', '.join(offer.columns) or 'none'}",
        expected="; ".join(told(spec) for spec in signature.inputs),
        hint=did_you_mean(missing[0], offer.columns),
    )


def _listed(names: Sequence[str]) -> str:
    return ("the feature " if len(names) == 1 else "the features ") + ", ".join(map(repr, names))
