"""A tool gets personal data; the model that wrote its arguments reads placeholders alone."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import AfterValidator

from consumers.agent.tools.arguments import MESSAGE_LIMIT, arguments_of
from consumers.agent.tools.tool import Tool
from schemas.errors import ToolFailedError

ADDRESS = "Anna.Schmidt@kunde.example"
PLACEHOLDERS = {"<EMAIL_1>": ADDRESS}


def _refused(before: int) -> Tool:
    """Return a tool that quotes its argument after *before* characters, in lower case."""

    def quoted(value: str) -> str:
        raise ValueError(f"{'x' * before} {value.lower()} is not known")

    def find(to: Annotated[str, AfterValidator(quoted)]) -> str:
        return to

    find.__annotations__["to"] = Annotated[str, AfterValidator(quoted)]
    return Tool("find", find)


@pytest.mark.parametrize("before", [0, *range(MESSAGE_LIMIT - 60, MESSAGE_LIMIT)])
def test_an_error_about_arguments_quotes_no_part_of_personal_data(before: int) -> None:
    """A message is cut, and a validator may write the value in another case."""
    with pytest.raises(ToolFailedError) as raised:
        arguments_of(_refused(before), '{"to": "<EMAIL_1>"}', PLACEHOLDERS)
    assert "anna" not in raised.value.public_message.lower()


def test_a_tool_gets_the_data_that_its_placeholders_stand_for() -> None:
    """Guards and policies see the placeholders."""

    def find(to: str) -> str:
        return to

    found = arguments_of(Tool("find", find), '{"to": "to <EMAIL_1> and <EMAIL_2>"}', PLACEHOLDERS)
    assert found.shown == {"to": "to <EMAIL_1> and <EMAIL_2>"}
    assert found.real == {"to": f"to {ADDRESS} and <EMAIL_2>"}
