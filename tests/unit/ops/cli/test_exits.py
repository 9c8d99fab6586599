"""What a script sees of a result."""

from __future__ import annotations

from typing import get_args

import pytest

from ops.cli.exits import CODES, SEVERITY, code_of
from schemas.errors import Status


def test_the_codes_are_the_contracts() -> None:
    """Scripts rely on them."""
    assert CODES == {"succeeded": 0, "failed": 1, "refused": 3, "expired": 4, "cancelled": 5}


def test_every_status_has_a_code_and_a_place() -> None:
    """A new status must not end a command with a stack trace."""
    assert set(CODES) == set(SEVERITY) == set(get_args(Status))


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        ([], 0),
        (["succeeded"], 0),
        (["succeeded", "refused", "succeeded"], 3),
        (["expired", "failed", "refused"], 1),
        (["cancelled", "expired"], 4),
    ],
)
def test_the_worst_of_several_decides(statuses: list[Status], code: int) -> None:
    """A file of requests has succeeded only if all of them have."""
    assert code_of(statuses) == code
