"""What may stand in a result."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel

from consumers.agent.output import as_json
from schemas.errors import InternalError


class Weather(BaseModel):
    city: str
    at: datetime


@dataclass
class Point:
    x: int


CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)


@pytest.mark.parametrize(
    ("output", "expected"),
    [
        ("text", "text"),
        (None, None),
        ({"a": [1, 2.5, True, None]}, {"a": [1, 2.5, True, None]}),
        (("a", "b"), ["a", "b"]),
        (Weather(city="Oslo", at=datetime(2026, 1, 2, tzinfo=UTC)), {"city": "Oslo", "at": "2026-01-02T00:00:00Z"}),
        ([Point(1)], [{"x": 1}]),
        (10**30, 10**30),
    ],
)
def test_values_become_what_their_reader_will_see(output: object, expected: object) -> None:
    """Models and dataclasses as objects, times as text."""
    assert as_json(output, "shout") == expected


@pytest.mark.parametrize("output", [math.nan, {"a": math.inf}, "\ud800", object(), CIRCLE, b"\xff", print])
def test_what_is_not_json_is_an_error_of_the_agent(output: object) -> None:
    """Found here, where its agent is known, and not when the result is written."""
    with pytest.raises(InternalError, match=r"'shout' returned a .* not JSON"):
        as_json(output, "shout")
