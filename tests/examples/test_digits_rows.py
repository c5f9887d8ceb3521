import json

import numpy as np
import pytest

from examples.digits import rows
from examples.digits.sources import from_sklearn


def test_rows_are_held_out_digits_as_a_client_sends_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert rows.main(["3"]) == 0
    printed = capsys.readouterr()
    split = from_sklearn()["eval"]
    sent = json.loads(printed.out)
    np.testing.assert_array_equal([row["image"] for row in sent], split.images[:3])
    assert [list(row) for row in sent] == [["image"]] * 3
    assert printed.err == f"labels: {' '.join(map(str, split.labels[:3]))}\n"
