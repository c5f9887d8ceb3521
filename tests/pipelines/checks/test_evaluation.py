"""Rules that read across an eval_config, and about labels."""

import pytest

STEPS = """
  examples: {component: CsvExampleGen, with: {input_base: data}}
  latest: {component: Resolver, with: {strategy: latest, artifacts: {model: Model}}}
"""
BOUND = "value_threshold: {lower_bound: 0.9}"


@pytest.fixture(autouse=True)
def _data(project):
    project.write("data/rows.csv", "x,color,label\n1,red,0\n")
    project.write("code.py", "def build_model(context): ...\n")


def evaluator(eval_config):
    return f"{STEPS}  evaluator: {{component: Evaluator, with: {{eval_config: {eval_config}}}}}\n"


def test_a_metric_class_that_does_not_exist(project):
    text = project.problems(evaluator("{metrics_specs: [{metrics: [{class_name: SparseCategoricalAcuracy}]}]}"))
    assert "no metric 'SparseCategoricalAcuracy' in TFMA or Keras" in text
    assert "did you mean 'SparseCategoricalAccuracy'?" in text


def test_a_metric_of_the_users_own_module(project):
    assert project.graph(evaluator("{metrics_specs: [{metrics: [{class_name: Mine, module: code}]}]}"))


def test_a_threshold_on_a_metric_that_is_not_computed(project):
    spec = f"{{metrics: [{{class_name: AUC}}], thresholds: {{accuracy: {{{BOUND}}}}}}}"
    text = project.problems(evaluator(f"{{metrics_specs: [{spec}]}}"))
    assert "a threshold on 'accuracy', which is not computed" in text
    assert "expected: one of auc" in text


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        ("{class_name: SparseCategoricalAccuracy}", "sparse_categorical_accuracy"),
        ("{class_name: AUC}", "auc"),
        ("{class_name: AUC, config: {name: mine}}", "mine"),
        ("""{class_name: AUC, config: '"name": "mine"'}""", "mine"),
    ],
)
def test_a_threshold_by_the_name_that_tfma_reports(project, metric, name):
    assert project.graph(
        evaluator(f"{{metrics_specs: [{{metrics: [{metric}], thresholds: {{{name}: {{{BOUND}}}}}}}]}}")
    )


def test_a_change_threshold_needs_a_baseline(project):
    metric = "{class_name: AUC, threshold: {change_threshold: {absolute: 0.1}}}"
    config = f"{{metrics_specs: [{{metrics: [{metric}]}}]}}"
    text = project.problems(evaluator(config))
    assert "a change threshold without a baseline to compare with" in text
    assert "{component: Resolver, with: {strategy: latest_blessed}}" in text
    baseline = "  baseline: {component: Resolver, with: {strategy: latest_blessed}}\n"
    inputs = "{model: latest.model, baseline_model: baseline.model}"
    wired = f"  evaluator: {{component: Evaluator, inputs: {inputs}, with: {{eval_config: {config}}}}}\n"
    assert project.graph(STEPS + baseline + wired)


def test_the_evaluators_label_is_a_column(project):
    text = project.problems(evaluator("{model_specs: [{label_key: lable}]}"))
    assert "no column 'lable' in the data" in text
    assert "expected: one of x, color, label" in text


def test_the_trainers_label_is_a_column_where_nothing_transforms(project):
    text = project.problems(STEPS + "  t: {component: Trainer, with: {model_fn: code.build_model, label: lable}}\n")
    assert "no column 'lable' in the data" in text
    assert "did you mean 'label'?" in text


def test_a_threshold_by_a_metrics_class_name(project):
    name = "SparseCategoricalAccuracy"
    spec = f"{{metrics: [{{class_name: {name}}}], thresholds: {{{name}: {{{BOUND}}}}}}}"
    text = project.problems(evaluator(f"{{metrics_specs: [{spec}]}}"))
    assert "a threshold on 'SparseCategoricalAccuracy', which is not computed" in text
    assert "did you mean 'sparse_categorical_accuracy'?" in text


@pytest.mark.parametrize(
    ("threshold", "message", "hint"),
    [
        ("0.8", "expected a mapping, received the number 0.8", "its keys are change_threshold, value_threshold"),
        ("{value_threshold: {lower_bound: {value: 0.8}}}", "expected a number, received a mapping", "write 0.8"),
        ("{valueThreshold: {}}", "unknown field 'valueThreshold'", "did you mean 'value_threshold'?"),
    ],
)
def test_a_threshold_as_others_write_it(project, threshold, message, hint):
    text = project.problems(
        evaluator(f"{{metrics_specs: [{{metrics: [{{class_name: AUC, threshold: {threshold}}}]}}]}}")
    )
    assert message in text
    assert f"next: {hint}" in text


def test_one_mapping_where_a_list_of_them_is_expected(project):
    text = project.problems(evaluator("{slicing_specs: {feature_keys: [color]}}"))
    assert "expected a list, received a mapping at steps.evaluator.with.eval_config.slicing_specs" in text
    assert "put [ ] around it" in text
