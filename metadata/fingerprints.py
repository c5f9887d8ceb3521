"""What an ExampleGen of TFX recorded of the files that it read, by split."""

from __future__ import annotations

from penstock.metadata.records import Value

_TOLD = {"num_files": "files", "total_bytes": "bytes"}
_TIMES = ("sum_checksum", "xor_checksum")
"""TFX makes both of the times at which the files were last written, not of their content."""


def input_facts(fingerprint: Value | None) -> dict[str, str]:
    """Return an input fingerprint as names and values, such as ``train files``, ``train bytes``, ``train file times``.

    Args:
        fingerprint: The property ``input_fingerprint``: a line a split, such as
            ``split:train,num_files:2,total_bytes:7,xor_checksum:3,sum_checksum:5``.
    """
    facts: dict[str, str] = {}
    for line in str(fingerprint or "").splitlines():
        split, _, rest = line.removeprefix("split:").partition(",")
        parts = dict(part.partition(":")[::2] for part in rest.split(",") if part)
        times = [parts.pop(name) for name in _TIMES if name in parts]
        facts |= {f"{split} {_TOLD.get(name, name)}": value for name, value in parts.items()}
        if times:
            facts[f"{split} file times"] = "/".join(times)
    return facts
