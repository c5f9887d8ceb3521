from pathlib import Path
from threading import Barrier, Thread

import pytest

from penstock import durable


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_whole(tmp_path: Path) -> None:
    durable.write_text(tmp_path / "b.json", "{}\n")
    assert (tmp_path / "b.json").read_text(encoding="utf-8") == "{}\n"
    assert names(tmp_path) == ["b.json"]


@pytest.mark.parametrize("how", [{}, {"alone": False}])
def test_what_fails_leaves_the_file_of_before_and_nothing_else(tmp_path: Path, how: dict[str, bool]) -> None:
    file = tmp_path / "b.json"
    durable.write_text(file, "before")

    def fails(partial: Path) -> None:
        partial.write_text("half", encoding="utf-8")
        assert file.read_text(encoding="utf-8") == "before"
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left on device"):
        durable.write_beside(file, fails, **how)
    assert file.read_text(encoding="utf-8") == "before"
    assert names(tmp_path) == ["b.json"]


def test_what_a_killed_process_left_is_written_over(tmp_path: Path) -> None:
    (tmp_path / ".partial-b.json").write_text("half of something longer", encoding="utf-8")
    durable.write_text(tmp_path / "b.json", "whole")
    assert names(tmp_path) == ["b.json"]
    assert (tmp_path / "b.json").read_text(encoding="utf-8") == "whole"


def test_writers_at_once_have_a_file_each(tmp_path: Path) -> None:
    both = Barrier(2)
    partials = []

    def write(partial: Path, text: str) -> None:
        partials.append(partial)
        both.wait()  # Both are in the middle of their files.
        partial.write_text(text, encoding="utf-8")

    threads = [
        Thread(
            target=durable.write_beside,
            args=(tmp_path / "b", lambda path, text=text: write(path, text)),
            kwargs={"alone": False},
        )
        for text in ("one", "another")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(partials)) == 2
    assert names(tmp_path) == ["b"]
    assert (tmp_path / "b").read_text(encoding="utf-8") in {"one", "another"}
