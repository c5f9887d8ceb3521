"""What can be wrong between steps, and in the data they name: one small function a rule.

A rule takes the graph and the document and yields problems. It reads files but imports no TensorFlow, TFX or Beam.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from penstock.pipelines.checks import (
    beam,
    beam_workers,
    converting,
    data,
    evaluation,
    functions,
    inference,
    kubeflow,
    labels,
    paths,
    pushing,
    training,
)
from penstock.pipelines.config import Document, Problem
from penstock.pipelines.graph import Graph

Rule = Callable[[Graph, Document], Iterator[Problem]]

RULES: tuple[Rule, ...] = (
    paths.paths_name_no_home,
    beam.runner_exists,
    beam.options_are_beams,
    beam.options_have_their_types,
    beam.options_are_read,
    beam.setup_file_exists,
    beam.job_server_jar_is_used,
    beam_workers.dataflow_options_are_complete,
    beam_workers.dataflow_sees_the_root,
    beam_workers.cluster_workers_get_the_code,
    converting.converter_knows_the_label,
    converting.converter_reads_raw_rows,
    data.input_folder_holds_files,
    data.csv_has_header_and_rows,
    evaluation.metric_classes_exist,
    evaluation.thresholds_have_metrics,
    evaluation.change_thresholds_have_a_baseline,
    evaluation.label_keys_are_in_the_data,
    functions.imports_are_there,
    labels.trainer_label_is_in_the_data,
    labels.trainer_label_is_a_number,
    labels.raw_examples_go_to_examples,
    pushing.warm_up_has_raw_rows,
    pushing.wired_inputs_are_pushed,
    inference.inference_has_a_model_and_rows,
    inference.inference_reads_raw_rows,
    training.warm_start_has_a_model,
    *kubeflow.RULES,
    training.jobs_have_an_image,
    training.steps_see_their_jobs_folder,
)
_OF_THIS_MACHINE: frozenset[Rule] = frozenset(
    {
        data.input_folder_holds_files,
        data.csv_has_header_and_rows,
        functions.imports_are_there,
        training.warm_start_has_a_model,
    }
)


def rules_for(graph: Graph) -> Iterator[Rule]:
    """Yield the rules for a pipeline; those about files of this machine only for one that runs here."""
    return (rule for rule in RULES if graph.kubeflow is None or rule not in _OF_THIS_MACHINE)
