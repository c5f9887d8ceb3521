from hypothesis import given
from hypothesis import strategies as st

from penstock.closest import closest, did_you_mean


def test_nearest_word() -> None:
    assert closest("epoch", ["hparams", "epochs", "batch_size"]) == "epochs"
    assert closest("zzz", ["hparams", "epochs"]) is None
    assert closest("epochs", []) is None


def test_case_is_ignored_and_kept() -> None:
    assert closest("trainer", ["Transform", "Trainer"]) == "Trainer"
    assert closest("TRAINER", ["Transform", "Trainer"]) == "Trainer"


def test_very_long_words_are_not_compared() -> None:
    assert closest("e" * 101, ["e" * 100]) is None


def test_did_you_mean() -> None:
    assert did_you_mean("epoch", ["epochs"]) == "did you mean 'epochs'?"
    assert did_you_mean("epoch", ["root"]) is None


@given(st.text(max_size=20), st.lists(st.text(max_size=20), max_size=6))
def test_the_answer_is_one_of_the_words(word: str, words: list[str]) -> None:
    match = closest(word, words)
    assert match is None or match in words


@given(st.text(min_size=1, max_size=20), st.lists(st.text(max_size=20), max_size=6))
def test_a_known_word_is_its_own_nearest_but_for_case(word: str, words: list[str]) -> None:
    match = closest(word, [*words, word])
    assert match is not None
    assert match.casefold() == word.casefold()
