"""The job that Dataflow would get, built here: the staged code, image, machines and accelerators. Imports Beam.

Nothing leaves this machine: uploads are kept, and the request of the API is looked at instead of sent.
"""

import io
import json
import tarfile
from dataclasses import dataclass, field
from typing import Any

import pytest

from penstock.pipelines.engines import package
from penstock.pipelines.engines.start import Demand

STEPS = (
    "  examples: {component: CsvExampleGen, with: {input_base: 'gs://bucket/data'}}\n"
    "  statistics: {component: StatisticsGen}\n"
    "  schema: {component: SchemaGen}\n"
    "  transform: {component: Transform, with: {preprocessing_fn: shop.features.preprocess}}\n"
)
TOP = """pipeline: p
root: gs://bucket/root
metadata: {sqlite: m.sqlite}
beam:
  runner: dataflow
  options:
    project: my-project
    region: europe-west4
    temp_location: gs://bucket/temp
    job_name: penstock-test
"""
GPU = "worker_accelerator=type:nvidia-tesla-t4;count:1;install-nvidia-driver"
WORKERS = f"""\
    machine_type: n1-standard-4
    num_workers: 2
    max_num_workers: 5
    disk_size_gb: 100
    no_use_public_ips: true
    subnetwork: regions/europe-west4/subnetworks/workers
    dataflow_service_options: ["{GPU}"]
"""


@dataclass
class Submitted:
    """What would have been sent: files by their address, and the request's project, region and job."""

    files: dict[str, bytes] = field(default_factory=dict)
    jobs: list[dict[str, Any]] = field(default_factory=list)

    def stage_file(self, folder, name, stream, mime_type="", total_size=None):
        self.files[f"{folder}/{name}"] = stream.read()

    def submit(self, job):
        options = job.google_cloud_options
        self.jobs.append({"project": options.project, "region": options.region, **json.loads(job.json())})


@pytest.fixture
def submitted(monkeypatch):
    from apache_beam.options.pipeline_options import GoogleCloudOptions
    from apache_beam.runners.dataflow.internal.apiclient import DataflowApplicationClient

    found = Submitted()
    # Beam looks at the bucket, to warn of what it costs.
    monkeypatch.setattr(GoogleCloudOptions, "_warn_if_soft_delete_policy_enabled", lambda *_: None)
    monkeypatch.setattr(DataflowApplicationClient, "stage_file", found.stage_file)
    monkeypatch.setattr(DataflowApplicationClient, "submit_job_description", found.submit)
    return found


def _run(args):
    """Run a pipeline whose transform is Penstock's own, as far as the request."""
    import apache_beam as beam

    from penstock.closest import did_you_mean

    pipeline = beam.Pipeline(argv=[*args, "--no_auth"])
    _ = pipeline | beam.Create([["epoch"]]) | beam.Map(lambda words: did_you_mean("epochs", words))
    pipeline.run()


def _graph(project, options):
    project.write("shop/features.py", "import helpers\n\ndef preprocess(inputs): ...\n")
    project.write("helpers.py", "")
    return project.graph(STEPS, top=TOP + options)


def test_image_machines_and_accelerators(project, submitted):
    graph = _graph(project, WORKERS + "    sdk_container_image: example.com/penstock:1\n")
    _run(graph.beam_args)
    (job,) = submitted.jobs
    assert (job["name"], job["project"], job["region"]) == ("penstock-test", "my-project", "europe-west4")
    environment = job["environment"]
    assert environment["serviceOptions"] == [GPU]
    assert environment["tempStoragePrefix"].startswith("storage.googleapis.com/bucket/temp")
    (pool,) = environment["workerPools"]
    assert (pool["machineType"], pool["numWorkers"], pool["diskSizeGb"]) == ("n1-standard-4", 2, 100)
    assert pool["autoscalingSettings"] == {"maxNumWorkers": 5}
    assert pool["ipConfiguration"] == "WORKER_IP_PRIVATE"
    assert pool["subnetwork"] == "regions/europe-west4/subnetworks/workers"
    assert {image["containerImage"] for image in pool["sdkHarnessContainerImages"]} == {"example.com/penstock:1"}
    assert not [name for name in submitted.files if name.endswith("workflow.tar.gz")]


def test_the_setup_file_is_staged_with_the_code_of_both(project, submitted, tmp_path_factory):
    graph = _graph(project, "    setup_file: auto\n")
    demand = Demand.of(graph, graph.steps.keys())
    assert demand
    folder = tmp_path_factory.mktemp("package")
    setup = package.write(folder, demand.functions, demand.project, libraries=True)
    _run([*demand.flags, f"--setup_file={setup}"])
    (job,) = submitted.jobs
    (pool,) = job["environment"]["workerPools"]
    staged = {entry["name"]: entry["location"] for entry in pool["packages"]}
    assert "workflow.tar.gz" in staged
    (content,) = (data for name, data in submitted.files.items() if name.endswith("/workflow.tar.gz"))
    with tarfile.open(fileobj=io.BytesIO(content)) as packed:
        names = {name.partition("/")[2] for name in packed.getnames()}
        (requirements,) = (member for member in packed.getnames() if member.endswith("/requirements.txt"))
        listed = packed.extractfile(requirements)
        assert listed
        lines = listed.read().decode().splitlines()
    assert {"penstock/closest.py", "penstock/components/batch_inference/executor.py", "shop/features.py"} <= names
    assert {"helpers.py", "penstock/pipelines/catalog/components.json"} <= names
    assert [line for line in lines if line.startswith("tensorflow==")]


def test_tfx_adds_no_package_of_its_own(project):
    """TFX ships its own tree where nothing else ships code; with ours that would be an older one beside it."""
    from tfx.utils.dependency_utils import make_beam_dependency_flags

    graph = _graph(project, "    sdk_container_image: example.com/penstock:1\n")
    assert make_beam_dependency_flags(list(graph.beam_args)) == list(graph.beam_args)
