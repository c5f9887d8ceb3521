"""Bounds on a configuration, far above real ones, that keep a hostile file from exhausting the machine."""

MAX_BYTES = 1_000_000
"""Size of one file, and of all the text that references make, in bytes or characters."""

MAX_LINE = 20_000
"""Length of one line in characters: the YAML scanner's time grows with the square of some."""

MAX_VALUES = 10_000
"""Values of one file with its aliases expanded, and values that references add to a document."""

MAX_DEPTH = 50
"""Nesting of values, length of a chain of references, and length of a chain of ``extends``."""
