"""Publishes a trained model: written beside, checked, and only then where others look."""

from __future__ import annotations

import shutil

from penstock import durable
from penstock.components.trainer.export import ServingModel, export_saved_model, save_keras_file
from penstock.components.trainer.keras_backend import Keras
from penstock.components.trainer.predict_gate import SignatureCheck, check_saved_model
from penstock.components.trainer.records import first_records, reading
from penstock.components.trainer.request import TrainRequest


def publish(request: TrainRequest, serving: ServingModel, keras: Keras) -> tuple[SignatureCheck, ...]:
    """Export a model, compare the export with memory on real rows, and publish it with its ``.keras`` file.

    Returns:
        What the predict gate found, one entry a signature.

    Raises:
        ArtifactError: The export does not answer as the model does.
        UserCodeError: The model cannot be exported.
    """
    config, files = request.config, request.files.raw_evaluation
    partial = request.saved_model.with_name(f".partial-{request.saved_model.name}")
    shutil.rmtree(partial, ignore_errors=True)
    partial.parent.mkdir(parents=True, exist_ok=True)
    export_saved_model(serving, partial, keras)
    with reading(files):
        examples = first_records(files, config.eval_split, config.gate.rows)
        checks = check_saved_model(partial, serving, examples, config.gate, keras)
    save_keras_file(serving.model, request.keras_file)
    # An attempt that was ended after it had published left one.
    durable.rename_over(partial, request.saved_model)
    return checks
