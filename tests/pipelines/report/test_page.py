"""The page of a run: what it tells, what it leaves out, and that nothing in it is taken for markup."""

import re

import pytest
from lxml import html as lxml_html
from ruamel.yaml import YAML
from tensorflow_metadata.proto.v0 import statistics_pb2

from penstock.errors import EnvironmentProblem
from penstock.metadata.choose import choose_run
from penstock.metadata.reader import Reader
from penstock.pipelines.report.collect import collect
from penstock.pipelines.report.render import percent, render, write
from tests.metadata.run_files import History
from tests.pipelines.report.a_run import HOSTILE, write_run

RUN = "20261130-100000-000"
DASH = "\N{EN DASH}"


def page_of(history, run="latest"):
    reader = Reader(history.sqlite, history.pipeline)
    return collect(reader, choose_run(reader, run))


@pytest.fixture(scope="module")
def history(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("a root"))


@pytest.fixture(scope="module")
def text(history):
    return render(page_of(history))


@pytest.fixture(scope="module")
def tree(text):
    return lxml_html.document_fromstring(text)


def words(element):
    return " ".join(element.text_content().split())


def rows(tree, anchor, table=0):
    found = tree.get_element_by_id(anchor).findall(".//table")[table]
    return [[words(cell) for cell in row] for row in found.findall(".//tr")]


def test_the_whole_page(tree, text):
    assert tree.get("lang") == "en"
    assert tree.findtext(".//title") == f"digits {HOSTILE}, run {RUN}"
    assert words(tree.find(".//h1")) == f"digits {HOSTILE}"
    assert [words(one) for one in tree.findall(".//h2")] == [
        "Steps", "Data", "Training", "Evaluation", "Flatbuffers", "Versions and labels", "Predictions", "Lineage",
        "What made it",
    ]  # fmt: skip
    anchors = [link.get("href") for link in tree.findall(".//nav//a")]
    assert [anchor for anchor in anchors if tree.get_element_by_id(anchor[1:], None) is None] == []
    assert len(text.encode()) < 100_000


def test_nothing_is_loaded_from_anywhere(tree, text):
    assert tree.xpath("//script | //iframe | //object | //img | //link[@rel='stylesheet']") == []
    assert [link.get("href") for link in tree.xpath("//link")] == ["data:,"]
    assert [link for link in tree.xpath("//a/@href") if not link.startswith("#")] == []
    assert "url(" not in tree.findtext(".//style")
    assert re.findall(r"https?:", text) == []
    (policy,) = tree.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def test_hostile_names_stay_text(tree, text):
    assert "<script" not in text
    assert tree.xpath("//*[starts-with(name(@*), 'on')]") == []
    assert text.count("&lt;script&gt;") > 12


def test_every_drawing_has_a_name_and_every_table_its_heads(tree):
    for drawing in tree.xpath("//*[local-name()='svg'][not(@aria-hidden)]"):
        assert drawing.get("role") == "img"
        assert drawing.get("aria-label")
    for table in tree.xpath("//table"):
        assert {head.get("scope") for head in table.findall(".//thead//th")} == {"col"}
        for row in table.findall(".//tbody/tr"):
            assert row.findall("th") or row.findall("td")


def test_ids_are_unique(tree):
    ids = tree.xpath("//@id")
    assert len(ids) == len(set(ids))


def test_steps(tree):
    table = rows(tree, "steps")
    assert [row[0] for row in table[1:]] == [
        "examples", "statistics", "validator", "trainer", "evaluator", "tflite", "pusher", "scores", "late",
    ]  # fmt: skip
    assert table[4][:3] == ["trainer", "trainer", "✓ ran"]
    assert table[9][2] == f"{DASH} not run"
    boxes = tree.get_element_by_id("steps").xpath(".//*[local-name()='g']/*[local-name()='title']/text()")
    assert len(boxes) == 2 * 9


def test_statistics(tree):
    table = rows(tree, "data")
    assert table[1][:9] == [HOSTILE, "eval", "float", "16.7 %", "0", "4.5", "0", "9", "0"]
    assert table[2][:3] == ["train", "float", "4.2 %"]
    assert table[3][:4] == ["town", "eval", "text", "0 %"]
    assert table[3][4] == f"12 different: {HOSTILE} 100"
    assert table[5][4] == "300 different"
    assert "statistics: eval 360 rows, train 1 437 rows" in words(tree.get_element_by_id("data"))


def test_anomalies(tree):
    assert rows(tree, "data", 1)[1:] == [
        ["validator, eval", "town", f"unexpected value {HOSTILE}"],
        ["validator, eval", "all rows", "fewer rows than the schema asks for"],
    ]


def test_training(tree):
    section = tree.get_element_by_id("training")
    assert rows(tree, "training")[1:] == [
        ["1", "1", "0.9", "0.5"],
        ["2", "0.5", "0.6", "0.8"],
        ["3", "nan", "0.4", "0.9"],
    ]
    assert [one.text for one in section.findall(".//figcaption")] == ["loss", "accuracy"]
    assert "A step's time: input 10 %, compute 90 %." in words(section)
    assert "stopped early, best epoch 2" in words(section)


def test_evaluation(tree):
    assert rows(tree, "evaluation") == [
        ["slice", "example_count", "accuracy"],
        ["all rows", "360", "0.9667"],
        [f"label={HOSTILE}", "", "0.5"],
    ]
    assert f"✗ not blessed too low {HOSTILE}" in words(tree.get_element_by_id("evaluation"))


def test_flatbuffers(tree):
    table = rows(tree, "flatbuffers")
    assert table[3][:6] == ["int8", "✓ yes", "288.9 kB", "0.9639", "0.0028", DASH]
    assert table[2] == ["int4", "✗ no", "", DASH, DASH, DASH, "", "", ""]
    section = words(tree.get_element_by_id("flatbuffers"))
    assert f"Not float32: too large {HOSTILE}." in section


def test_versions_predictions_and_origins(tree):
    assert rows(tree, "versions")[1][0] == "3"
    assert "stable no longer there" in rows(tree, "versions")[1][2]
    assert rows(tree, "versions", 1)[1][1:] == ["stable", "new → 3", "push"]
    assert rows(tree, "predictions")[1][:6] == [
        "scores", "model eeeeeeeeeeee", "1 234", "1 230", "4", "jsonl",
    ]  # fmt: skip
    facts = [row for table in range(5) for row in rows(tree, "origins", table)]
    for told in (["dirty", "1"], ["train_rows", "1437"], ["tfx", "1.21.0"], ["hparams", HOSTILE], ["trainer", HOSTILE]):
        assert told in facts
    assert [f"examples, {HOSTILE} sum", "7"] in facts


def test_parts_without_data_are_told_in_one_line_each(tmp_path):
    history = History(tmp_path, "small")
    history.step("r1", "examples", {"examples": ("Examples", {})})
    page = page_of(history)
    tree = lxml_html.document_fromstring(render(page))
    assert [words(one) for one in tree.findall(".//h2")] == ["Steps", "Lineage", "What made it", "Not on this page"]
    assert [words(line) for line in tree.get_element_by_id("left-out").findall(".//li")] == [
        "Data: no StatisticsGen ran, or its files are gone.",
        "Anomalies: no ExampleValidator ran, or its files are gone.",
        "Training: no training of ours ran, or its files are gone.",
        "Evaluation: no Evaluator ran, or its files are gone.",
        "Flatbuffers: no TFLiteConverter ran.",
        "Versions and labels: the pipeline has pushed no version.",
        "Predictions: no BatchInference ran.",
        "Config: it was not recorded: the run is older than that, or another runner's.",
    ]


def test_a_run_that_gave_nothing(tmp_path):
    history = History(tmp_path, "small")
    history.step("r1", "examples", state="FAILED", penstock_reason="the disk is full")
    tree = lxml_html.document_fromstring(render(page_of(history)))
    assert rows(tree, "steps")[1][2:] == ["✗ failed", "", "the disk is full"]


def test_damaged_files_cost_their_part_only(tmp_path):
    history = write_run(tmp_path / "root")
    file = tmp_path / "root" / "statistics" / "statistics" / "2" / "Split-eval" / "FeatureStats.pb"
    file.write_bytes(b"\xff\xff\xff")
    (tmp_path / "root" / "trainer" / "model_run" / "4" / "history.json").write_text("{", encoding="utf-8")
    page = page_of(history)
    assert page.statistics == []
    assert page.left_out["Data"].startswith(f"{file}: the file cannot be read: ")
    assert "history.json: the file cannot be read: " in page.left_out["Training"]
    assert len(page.flatbuffers) == 1
    assert "Not on this page" in render(page)


def test_very_many_features_still_make_a_small_page(tmp_path):
    history = write_run(tmp_path)
    for split in ("train", "eval"):
        found = statistics_pb2.DatasetFeatureStatisticsList()
        dataset = found.datasets.add(num_examples=1000)
        for place in range(1000):
            feature = dataset.features.add(type=1, name=f"a feature with quite a long name {place}")
            feature.num_stats.common_stats.num_non_missing = 900
            feature.num_stats.mean, feature.num_stats.max = 0.123456789, 987654.321
            histogram = feature.num_stats.histograms.add()
            for count in range(10):
                histogram.buckets.add(sample_count=count * place)
        file = tmp_path / "statistics" / "statistics" / "2" / f"Split-{split}" / "FeatureStats.pb"
        file.write_bytes(found.SerializeToString())
    text = render(page_of(history))
    assert "800 more features are not shown." in text
    assert len(text.encode()) < 500_000


@pytest.mark.parametrize(("name", "reason"), [("no/such/folder.html", "No such file"), ("", "it is a folder")])
def test_a_page_that_cannot_be_written(tmp_path, name, reason):
    with pytest.raises(EnvironmentProblem, match=f"the report cannot be written: {reason}"):
        write("<html>", tmp_path / name)


def test_a_page_is_replaced_as_a_whole(tmp_path):
    write("one", tmp_path / "report.html")
    write("two", tmp_path / "report.html")
    assert [(path.name, path.read_text(encoding="utf-8")) for path in tmp_path.iterdir()] == [("report.html", "two")]


@pytest.mark.parametrize(
    ("share", "text"), [(0, "0 %"), (1e-6, "<0.1 %"), (0.5, "50 %"), (0.1234, "12.3 %"), (1, "100 %")]
)
def test_percent(share, text):
    assert percent(share) == text


def test_config_is_yaml(history):
    assert YAML(typ="safe").load(page_of(history).origins.config) == {"pipeline": "digits", "vars": {"name": HOSTILE}}
