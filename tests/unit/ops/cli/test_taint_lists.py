"""``--accept-taint`` in the commands for tenants."""

from __future__ import annotations

import pytest

from ops.cli.taint_lists import taint_lists
from ops.errors import InvalidError


def test_sources_are_read_by_tool() -> None:
    """An empty list takes the tool's entry away."""
    given = ["send=tool:read_mail, memory:notes", "pay=", "any=*"]
    assert taint_lists(given) == {"send": ("tool:read_mail", "memory:notes"), "pay": (), "any": ("*",)}


@pytest.mark.parametrize("text", ["send", "", "=tool:read_mail"])
def test_a_list_without_a_tool_is_refused(text: str) -> None:
    """It would accept nothing, and look as if it did."""
    with pytest.raises(InvalidError, match="write TOOL=SOURCE,SOURCE"):
        taint_lists([text])


@pytest.mark.parametrize("source", ["read_mail", "tool:", "user:ada", "agent:desk", "tool:*x y", "**", ""])
def test_a_source_that_no_text_can_have_is_refused(source: str) -> None:
    """An agent's text has the taint of what it has read, so its tools are listed."""
    with pytest.raises(InvalidError, match="is no source"):
        taint_lists([f"send=tool:a,{source}"])


def test_a_second_list_of_a_tool_is_refused() -> None:
    """It is not clear if it adds to the first or replaces it."""
    with pytest.raises(InvalidError, match="send has a list already"):
        taint_lists(["send=tool:a", "send=tool:b"])
