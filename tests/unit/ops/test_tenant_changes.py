"""Changes of a tenant's record."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from ops.errors import InvalidError
from ops.tenant_changes import with_taint, with_tools
from schemas.tenants import Tenant

ACME = Tenant(id="acme", tools={"support": ("find_order",), "desk": ()}, agents=("support",))


def test_a_list_of_tools_replaces_that_of_its_agent_only() -> None:
    """Another agent's list, and all else, stays."""
    new = with_tools(ACME, {"support": (), "billing": ("refund",)}, ())

    assert new.tools == {"support": (), "billing": ("refund",), "desk": ()}
    assert new.model_copy(update={"tools": ACME.tools}) == ACME


def test_a_cleared_list_allows_all_tools_again() -> None:
    """An agent without a list has nothing to clear."""
    assert with_tools(ACME, {}, ("desk", "unknown")).tools == {"support": ("find_order",)}
    assert with_tools(ACME, {}, ()) == ACME


def test_an_agent_in_both_options_is_refused() -> None:
    """The order of options must not decide about permissions."""
    with pytest.raises(InvalidError, match="support is in --tool and in --any-tool"):
        with_tools(ACME, {"support": ()}, ("support",))


@pytest.mark.parametrize(("agent", "names"), [("support", ("a b",)), ("support", ("",)), ("Bad Name", ())])
def test_an_invalid_name_is_refused(agent: str, names: tuple[str, ...]) -> None:
    """`--tool support=a,,b` has an empty name."""
    with pytest.raises(ValidationError):
        with_tools(ACME, {agent: names}, ())


def test_accepted_taint_is_changed_tool_by_tool() -> None:
    """A tool without sources has no entry, so that two equal records are equal."""
    first = with_taint(ACME, {"send": ("tool:read_mail",), "pay": ("*",)})
    new = with_taint(first, {"pay": (), "order": ("tool:shop",)})

    assert new.accepts_taint_from == {"send": ("tool:read_mail",), "order": ("tool:shop",)}
    assert with_taint(new, {"send": (), "order": ()}) == ACME
