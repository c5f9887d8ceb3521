"""Lets ``${…}`` stand without quotes inside YAML's flow mappings and lists.

``{epochs: ${vars.epochs}}`` is no YAML: inside braces, a plain text ends at the next brace, comma or colon. Such
characters inside a ``${…}`` are therefore exchanged, one for one so that columns stay, before the text is parsed, and
put back in the scalars. A valid configuration keeps its meaning, for in YAML ``${`` stands inside of scalars only, and
one that is not closed there is refused. An escaped ``$${`` in a flow mapping needs quotes.
"""

from __future__ import annotations

import re

_REFERENCE = re.compile(r"""(?<!\$)\$\{(?:[^{}'"\r\n]|'[^'{}\r\n]*'|"[^"{}\r\n]*")*\}""")
_SIGNIFICANT = "{}[],:#"
# From the end of the last private-use plane; a text that really holds one of these is refused.
_STAND_INS = "".join(chr(0x10FF00 + offset) for offset in range(len(_SIGNIFICANT)))
_MASK = str.maketrans(_SIGNIFICANT, _STAND_INS)
_UNMASK = str.maketrans(_STAND_INS, _SIGNIFICANT)


def reserved_at(text: str) -> int | None:
    """Return the index of the first character that cannot be used because it stands in for another."""
    # A regular expression for characters so far up takes 5 ms to compile.
    return min((index for char in _STAND_INS if (index := text.find(char)) >= 0), default=None)


def mask(text: str) -> str:
    """Return the text, of the same length, with what YAML would take for syntax inside of ``${…}`` exchanged."""
    return _REFERENCE.sub(lambda found: found[0].translate(_MASK), text)


def unmask(text: str) -> str:
    """Return a part of a masked text as it was."""
    return text.translate(_UNMASK)
