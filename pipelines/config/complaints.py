"""The YAML parser's complaints in plain words, with what to do."""

from __future__ import annotations

import re
from typing import Any

from ruamel.yaml.composer import ComposerError, MaxDepthExceededError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError

from penstock.pipelines.config.braces import unmask
from penstock.pipelines.config.limits import MAX_DEPTH, MAX_VALUES
from penstock.pipelines.config.marks import Mark, Source
from penstock.pipelines.config.problems import Problem

_AT_THE_OPENING: list[tuple[str, str, str]] = [
    (r"expected ',' or '}'", "this '{' is not closed", "add the missing '}' or ','"),
    (r"expected ',' or '\]'", "this '[' is not closed", "add the missing ']' or ','"),
    (r"found unexpected end of stream", "this quote is not closed", "add the closing quote"),
    (r"could not find expected ':'", "a key without its ':'", "write 'key: value'"),
]
"""Complaints that ruamel makes far below the place that is wrong: pattern, our words, what to do."""

_AT_THE_PLACE: list[tuple[str, str, str]] = [
    (
        r"expected the node content, but found '<stream end>'",
        "the text ends where a value is expected",
        "add it, and close the brackets and quotes above",
    ),
    (r"expected the node content", "a value is missing here", "add it, or put the text in quotes"),
    (
        r"mapping values are not allowed here",
        "a ':' where no key can be",
        "put text with ': ' in quotes, or check the indentation",
    ),
    (r"found character '(.)' that cannot start", r"a text cannot begin with '\1'", "put it in quotes"),
    (
        r"found undefined alias '(.*)'",
        r"no anchor '&\1' stands before '*\1'",
        "declare the anchor, or put it in quotes",
    ),
    (r"found unknown escape character '(.)'", r"'\\\1' is no escape in double quotes", "use single quotes"),
    (
        r"expected (<block end>|'<document start>')",
        "this line does not continue the lines before it",
        "check its indentation, and brackets and quotes above",
    ),
    (
        r"more indented follow up line than first",
        "empty lines above this block of text have spaces of their own",
        "remove these spaces",
    ),
]


class TooManyValuesError(MarkedYAMLError):
    """The text holds more values than any real configuration."""


def explained(error: YAMLError, source: Source) -> Problem:
    """Return what the parser complains of as a located problem."""
    if isinstance(error, ReaderError):
        return unusable(source, error.position)
    # Where ruamel names one thing only, it does so as the context.
    place = error.problem_mark or error.context_mark if isinstance(error, MarkedYAMLError) else None
    if not isinstance(error, MarkedYAMLError) or place is None:
        return Problem(f"not valid YAML: {error}", (), source.mark(0, 0))
    mark = _mark(place, source)
    tab = _tab_before(mark, source)
    if isinstance(error, TooManyValuesError):
        message, hint = f"more than {MAX_VALUES:,} values", "split the file, or read the data in a step"
    elif isinstance(error, MaxDepthExceededError):
        message, hint = f"nested more than {MAX_DEPTH} levels deep", "name inner parts under 'vars'"
    elif isinstance(error, ComposerError) and "single document" in str(error.context):
        message, hint = "several YAML documents in one file", "keep one: remove what follows '---'"
    elif tab is not None:
        message, mark, hint = "a TAB in the indentation", tab, "indent with spaces"
    else:
        return _in_plain_words(error, mark, source)
    return Problem(message, (), mark, hint=hint)


def _mark(place: Any, source: Source) -> Mark:
    """Return a place of ruamel's; what is missing behind the last line is missing at its end."""
    last = max(0, len(source.text.splitlines()) - 1)
    if place.line <= last:
        return source.mark(place.line, place.column)
    return source.mark(last, len(source.lines[last]))


def unusable(source: Source, index: int) -> Problem:
    """Return the problem that the character at ``index`` cannot stand in a configuration."""
    code = ord(source.text[index])
    is_binary = code == 0 or code == ord("\N{REPLACEMENT CHARACTER}")
    hint = "save the file as UTF-8 text" if is_binary else "remove it, or write it as an escape in double quotes"
    return Problem(f"the character U+{code:04X} cannot be used", (), source.mark_at(index), hint=hint)


def _in_plain_words(error: MarkedYAMLError, mark: Mark, source: Source) -> Problem:
    complaint, context = unmask(str(error.problem or error.context)), error.context_mark
    for pattern, words, hint in _AT_THE_OPENING:
        if context is not None and re.search(pattern, complaint):
            return Problem(f"not valid YAML: {words}", (), source.mark(context.line, context.column), hint=hint)
    for pattern, words, hint in _AT_THE_PLACE:
        found = re.search(pattern, complaint)
        if found:
            return Problem(f"not valid YAML: {found.expand(words)}", (), mark, hint=hint)
    begun = f" {error.context}" if error.context and error.problem else ""
    at = f" that begins at line {context.line + 1}" if begun and context else ""
    return Problem(f"not valid YAML: {complaint}{unmask(begun)}{at}", (), mark)


def _tab_before(mark: Mark, source: Source) -> Mark | None:
    """Return the place of a TAB in the indentation of the line in question or the one before it."""
    for number in range(max(0, mark.line - 2), mark.line):
        line = source.lines[number]
        indentation = line[: len(line) - len(line.lstrip())]
        if "\t" in indentation:
            return source.mark(number, indentation.index("\t"))
    return None
