"""Times as people write them."""

from __future__ import annotations

import pytest

from ops.cli.durations import seconds
from ops.errors import InvalidError


@pytest.mark.parametrize(
    ("text", "value"), [("30s", 30), ("500ms", 0.5), ("2m", 120), ("1h", 3_600), ("1.5s", 1.5), ("7", 7), (" 3 s ", 3)]
)
def test_a_time_is_a_number_with_its_unit(text: str, value: float) -> None:
    """`--deadline 30s` is the contract; the others are what people try."""
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "s", "soon", "-1s", "0", "0s", "nan", "inf", "1d", "infs"])
def test_what_is_no_time_is_refused_with_examples(text: str) -> None:
    """A deadline of zero or of never would be a surprise either way."""
    with pytest.raises(InvalidError, match="write 500ms, 30s, 2m or 1h"):
        seconds(text)
