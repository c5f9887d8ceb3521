"""Rules about the user's code behind the steps."""

import pytest

STEPS = (
    "  examples: {component: CsvExampleGen, with: {input_base: data}}\n"
    "  statistics: {component: StatisticsGen}\n"
    "  schema: {component: SchemaGen}\n"
    "  t: {component: Trainer, with: {model_fn: model.build_model, label: label}}\n"
)
FUNCTION = "def build_model(context): ...\n"


@pytest.fixture(autouse=True)
def _data(project):
    project.write("data/rows.csv", "x,label\n1,0\n")


@pytest.mark.parametrize(
    ("line", "name"),
    [("import nosuch", "nosuch"), ("import os, nosuch.deep", "nosuch"), ("from nosuch.deep import thing", "nosuch")],
)
def test_an_import_of_what_is_nowhere(project, line, name):
    project.write("model.py", f'"""A model."""\n\n{line}\n{FUNCTION}')
    text = project.problems(STEPS)
    assert f"p.yaml:7:44: model.py:3 imports '{name}', and there is no such module" in text
    assert f"expected: a module under the project folder {project.folder}, or an installed package" in text
    assert "1 problem in" in text


def test_one_that_another_module_of_the_project_imports(project):
    project.write("layers.py", "import nosuch\n")
    project.write("model.py", f"import layers\n{FUNCTION}")
    assert "layers.py:1 imports 'nosuch', and there is no such module" in project.problems(STEPS)


def test_a_module_of_the_project_that_is_not_valid(project):
    project.write("layers.py", "def f(:\n")
    project.write("model.py", f"import layers\n{FUNCTION}")
    text = project.problems(STEPS)
    assert "layers.py:1 is not valid Python: invalid syntax" in text
    assert "1 problem in" in text


@pytest.mark.parametrize(
    "code",
    [
        "import os, sys, numpy as np, tensorflow.keras\nfrom numpy import nosuch\n",
        "try:\n    import nosuch\nexcept ImportError:\n    nosuch = None\n",
        "if False:\n    import nosuch\n",
        "from . import nosuch\n",
        "import sys\nsys.path.append('elsewhere')\nimport nosuch\n",
        "def later():\n    import nosuch\n",
    ],
    ids=["installed", "tried", "in a branch", "relative", "a path of its own", "in a function"],
)
def test_what_may_be_there_when_it_is_imported(project, code):
    project.write("model.py", code + FUNCTION)
    assert project.graph(STEPS)


def test_on_a_cluster_the_image_decides(project):
    project.write("model.py", f"import nosuch\n{FUNCTION}")
    top = "pipeline: p\nroot: gs://bucket/p\nkubeflow: {image: 'registry/p:1'}\n"
    assert project.graph(STEPS.replace("input_base: data", "input_base: 'gs://bucket/data'"), top=top)
