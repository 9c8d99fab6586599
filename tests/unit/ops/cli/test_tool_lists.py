"""``--tool`` in the commands for tenants."""

from __future__ import annotations

import pytest

from ops.cli.tool_lists import tool_lists
from ops.errors import InvalidError


def test_lists_are_read_by_agent() -> None:
    """An empty list is no tool at all, and not all of them."""
    given = ["support=find_order, open_ticket", "billing=", "desk= "]

    assert tool_lists(given) == {"support": ("find_order", "open_ticket"), "billing": (), "desk": ()}


@pytest.mark.parametrize("text", ["support", "", "=find_order", " =x"])
def test_a_list_without_an_agent_is_refused(text: str) -> None:
    """`--tool find_order` would restrict nothing, and look as if it did."""
    with pytest.raises(InvalidError, match="write AGENT=TOOL,TOOL"):
        tool_lists([text])


def test_a_second_list_of_an_agent_is_refused() -> None:
    """It is not clear if it adds to the first or replaces it."""
    with pytest.raises(InvalidError, match="support has a list already"):
        tool_lists(["support=a", "support=b"])
