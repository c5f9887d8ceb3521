import csv
import io
from collections import Counter
from pathlib import Path

import pytest

from examples.wine import data


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.to_csv())))


def test_every_wine_is_there(rows: list[dict[str, str]]):
    assert Counter(row["cultivar"] for row in rows) == {"0": 59, "1": 71, "2": 48}


def test_the_columns_have_plain_names(rows: list[dict[str, str]]):
    names = list(rows[0])
    assert len(names) == 15
    assert all(name.isidentifier() and name == name.lower() for name in names)
    assert names[-3:] == ["proline", "color_band", "cultivar"]
    assert "od280_od315_of_diluted_wines" in names


def test_the_color_band_follows_the_intensity(rows: list[dict[str, str]]):
    intensities = {
        band: [float(row["color_intensity"]) for row in rows if row["color_band"] == band]
        for band in ("pale", "medium", "deep")
    }
    assert sum(map(len, intensities.values())) == len(rows)
    assert max(intensities["pale"]) <= 3.5 < min(intensities["medium"])
    assert max(intensities["medium"]) <= 6 < min(intensities["deep"])


def test_measurements_are_written_with_a_point(rows: list[dict[str, str]]):
    assert {name for name, value in rows[0].items() if "." not in value} == {"color_band", "cultivar"}


def test_the_file_is_written_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = tmp_path / "wine"
    assert data.main([str(folder)]) == 0
    assert data.main([str(folder)]) == 0
    assert capsys.readouterr().out == f"{folder}/wine.csv written\n{folder}/wine.csv is up to date\n"
    assert [path.name for path in tmp_path.iterdir()] == ["wine"]
    assert [path.name for path in folder.iterdir()] == ["wine.csv"]


def test_a_changed_file_is_replaced(tmp_path: Path):
    data.write(tmp_path)
    (tmp_path / "wine.csv").write_text("changed")
    assert data.write(tmp_path)
    assert (tmp_path / "wine.csv").read_text() == data.to_csv()


def test_a_destination_that_is_a_file_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "wine").write_text("a file")
    assert data.main([str(tmp_path / "wine")]) == 1
    assert capsys.readouterr().err == (
        f"error: {tmp_path}/wine: File exists\n  next: check the path and its permissions\n"
    )
