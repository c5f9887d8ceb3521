"""Questions to a real metadata store, written here as TFX writes it."""

import pytest
from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2 as pb

from penstock.errors import EnvironmentProblem
from penstock.metadata import Store


class Writer:
    """Writes executions, contexts and artifacts as TFX's launcher does."""

    def __init__(self, file):
        config = pb.ConnectionConfig()
        config.sqlite.filename_uri = str(file)
        config.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
        self.store = metadata_store.MetadataStore(config)
        self.execution_type = self.store.put_execution_type(pb.ExecutionType(name="step"))
        self.model = self.store.put_artifact_type(pb.ArtifactType(name="Model", properties={"size": pb.INT}))
        self.contexts = {
            name: self.store.put_context_type(pb.ContextType(name=name)) for name in ("node", "pipeline_run")
        }

    def execution(self, pipeline, run, step, state=pb.Execution.COMPLETE, **parameters):
        execution = pb.Execution(type_id=self.execution_type, last_known_state=state)
        for key, value in parameters.items():
            execution.custom_properties[key].string_value = value
        artifact = pb.Artifact(type_id=self.model, uri=f"/{pipeline}/{run}/{step}")
        artifact.properties["size"].int_value = 7
        artifact.custom_properties["strategy"].string_value = "mirrored"
        event = pb.Event(type=pb.Event.OUTPUT)
        event.path.steps.add().key = "model"
        contexts = [
            pb.Context(type_id=self.contexts["node"], name=f"{pipeline}.{step}"),
            pb.Context(type_id=self.contexts["pipeline_run"], name=run),
        ]
        execution_id, (artifact_id,), _ = self.store.put_execution(
            execution, [(artifact, event)], contexts, reuse_context_if_already_exist=True
        )
        return execution_id, artifact_id

    def use(self, execution_id, artifact_id, key):
        event = pb.Event(type=pb.Event.INPUT, execution_id=execution_id, artifact_id=artifact_id)
        event.path.steps.add().key = key
        self.store.put_events([event])


@pytest.fixture
def file(tmp_path):
    return tmp_path / "metadata.sqlite"


@pytest.fixture
def writer(file):
    return Writer(file)


def test_outputs_of_a_step_in_a_run(writer, file):
    writer.execution("digits", "run1", "trainer")
    writer.execution("digits", "run2", "trainer")
    (model,) = Store(file, "digits").outputs("run1", "trainer")["model"]
    assert (model.type, model.uri) == ("Model", "/digits/run1/trainer")
    assert model.properties == {"size": 7, "strategy": "mirrored"}


def test_what_is_not_there_is_empty(writer, file):
    writer.execution("digits", "run1", "trainer")
    store = Store(file, "digits")
    assert store.outputs("run9", "trainer") == {}
    assert store.outputs("run1", "pusher") == {}
    assert store.last_success("pusher") is None


def test_another_pipeline_in_the_store_is_never_seen(writer, file):
    writer.execution("other", "run1", "trainer")
    store = Store(file, "digits")
    assert store.outputs("run1", "trainer") == {}
    assert store.last_success("trainer") is None


def test_the_last_success_is_the_newest_that_ended_well(writer, file):
    _, examples = writer.execution("digits", "run1", "examples")
    writer.execution("digits", "run1", "trainer", epochs="5")
    good, _ = writer.execution("digits", "run2", "trainer", pb.Execution.CACHED, epochs="6")
    writer.use(good, examples, "examples")
    writer.execution("digits", "run3", "trainer", pb.Execution.FAILED, epochs="7")
    last = Store(file, "digits").last_success("trainer")
    assert last is not None
    assert (last.id, last.state, last.properties, last.inputs) == (
        good,
        "CACHED",
        {"epochs": "6"},
        {"examples": (examples,)},
    )


def test_a_store_that_is_not_there_is_not_made(file):
    with pytest.raises(EnvironmentProblem, match="there is no metadata store"):
        Store(file, "digits")
    assert not file.exists()
