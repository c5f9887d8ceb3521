"""README tells the truth about the language and the commands."""

import re
from typing import Any

import pytest
from ruamel.yaml import YAML

from penstock.pipelines.cli.app import app
from penstock.pipelines.config import ConfigProblems, PipelineConfig, StepConfig, load
from penstock.pipelines.registry import short_names
from penstock.pipelines.resolve import check, resolve
from tests.conftest import REPOSITORY

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
PAGES = {path.name: path.read_text(encoding="utf-8") for path in sorted((REPOSITORY / "docs").glob("*.md"))}
(CONFIG,) = re.findall(r"<!-- checked by tests/test_readme.py -->\n```yaml\n(.*?)```", README, flags=re.DOTALL)


def test_the_config_page_is_valid(project):
    project.write("data/rows.csv", "x,species\n1,0\n")
    project.write("model.py", "def build_model(context): ...\n")
    project.write("p.yaml", CONFIG)
    graph = resolve(load(project.folder / "p.yaml"))
    assert list(graph.steps) == ["examples", "statistics", "schema", "trainer"]


def test_the_errors_are_those_of_digits_with_these_mistakes(project):
    (told,) = re.findall(r"```\n(configs/digits.yaml:27:7: .*?)\n```", README, flags=re.DOTALL)
    text = (REPOSITORY / "configs/digits.yaml").read_text(encoding="utf-8")
    text = text.replace("epochs: ${", "epoch: ${").replace("SparseCategoricalAccuracy", "SparseCategoricalAcuracy")
    project.write("configs/digits.yaml", text)
    project.write("pyproject.toml", "")
    for name in ("train-0", "eval-0"):
        project.write(f"data/digits/{name}", "")
    (project.folder / "examples").symlink_to(REPOSITORY / "examples")
    with pytest.raises(ConfigProblems) as raised:
        check(project.folder / "configs/digits.yaml", (), {})
    assert str(raised.value) == told


@pytest.mark.parametrize("key", [info.alias or name for name, info in PipelineConfig.model_fields.items()])
def test_every_key_of_a_file_is_documented(key):
    assert re.search(rf"^{key}:|`{key}: ", CONFIG + README, flags=re.MULTILINE)


@pytest.mark.parametrize("key", [info.alias or name for name, info in StepConfig.model_fields.items()])
def test_every_key_of_a_step_is_documented(key):
    assert re.search(rf"^    {key}:", CONFIG, flags=re.MULTILINE)


@pytest.mark.parametrize("name", short_names())
def test_every_built_in_component_is_named(name):
    assert f"`{name}`" in README


def test_every_command_is_documented_and_every_documented_command_exists():
    commands = {command.callback.__name__ for command in app.registered_commands if command.callback}
    commands |= {str(group.typer_instance.info.name) for group in app.registered_groups if group.typer_instance}
    assert set(re.findall(r"`penstock (\w+)", README)) == commands


def test_every_parameter_of_the_pusher_is_named():
    from penstock.components.pusher.config import PusherConfig

    for name in PusherConfig.model_fields:
        assert re.search(rf"`{name}[`.]", PAGES["serving.md"]), name


def test_every_parameter_of_batch_inference_is_there_and_valid():
    from penstock.components.batch_inference.config import Batch, BatchInferenceConfig, Input, Output, RemoteServer

    (text,) = re.findall(
        r"<!-- the parameters of BatchInference.*?-->\n```yaml\n(.*?)```", PAGES["batch-inference.md"], flags=re.DOTALL
    )
    given = YAML(typ="safe").load(text)
    assert given.keys() == BatchInferenceConfig.model_fields.keys()
    (remote,) = re.findall(r"# or (\{remote: .*\})", text)
    for mode in (given["mode"], YAML(typ="safe").load(remote)):
        assert BatchInferenceConfig.model_validate({**given, "mode": mode})
    fields = {name for model in (Input, Output, Batch, RemoteServer) for name in model.model_fields}
    # In the place of `splits`, and of `label`.
    assert {name for name in fields if not re.search(rf"\b{name}: ", text)} == {"files", "version"}


def test_the_trainers_parameters_are_all_there_and_valid():
    from penstock.components.trainer.config import TrainerConfig
    from penstock.components.trainer.options import Options

    (text,) = re.findall(
        r"<!-- the Trainer's parameters.*?-->\n```yaml\n(.*?)```", PAGES["trainer.md"], flags=re.DOTALL
    )
    given = YAML(typ="safe").load(text)
    config = TrainerConfig.model_validate(given)

    def unnamed(model: Options, values: dict[str, Any]) -> list[str]:
        missing = []
        for name, info in type(model).model_fields.items():
            value = getattr(model, name)
            key = info.alias or name
            if key not in values:
                missing.append(key)
            elif isinstance(value, Options) and key != "strategy":
                missing += [f"{key}.{inner}" for inner in unnamed(value, values[key])]
        return missing

    # Either of two, and what has no place beside another value.
    assert unnamed(config, given) == ["steps", "runtime.logical_devices.gpu", "runtime.gpu_memory.limit"]


def test_every_strategy_and_its_options_are_named():
    from penstock.components.trainer.strategy_options import STRATEGIES

    for name, options in STRATEGIES.items():
        assert f"`{name}`" in README
        assert f"`{name}`" in PAGES["trainer.md"]
        for option in set(options.model_fields) - {"name"}:
            assert re.search(rf"`{option}`", PAGES["trainer.md"]), f"{name}.{option}"


@pytest.mark.parametrize(
    "page", [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))], ids=lambda p: p.name
)
def test_every_link_to_a_file_leads_somewhere(page):
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


def test_readme_leads_to_every_page():
    assert [name for name in PAGES if f"](docs/{name})" not in README] == []
