"""Change single fields of a tenant record."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ops.errors import InvalidError
from schemas.tenants import Tenant


def changed(tenant: Tenant, fields: Mapping[str, Any], limits: Mapping[str, Any]) -> Tenant:
    """Return *tenant* with these fields and limits, all others as they are. Raises ValidationError, InvalidError."""
    record = tenant.model_dump() | dict(fields)
    new = Tenant.model_validate({**record, "limits": tenant.limits.model_dump() | dict(limits)})
    if new.limits.default_deadline > new.limits.max_deadline:
        raise InvalidError(
            f"the default deadline of {new.limits.default_deadline:g} s is longer than the longest allowed,"
            f" {new.limits.max_deadline:g} s: change both, or another one"
        )
    if tenant.interactive and not new.interactive:
        raise InvalidError(f"tenant {tenant.id} is interactive, and its topics remain: leave --interactive as it is")
    return new


def with_tools(tenant: Tenant, lists: Mapping[str, tuple[str, ...]], cleared: Collection[str]) -> Tenant:
    """Return *tenant* with these lists of tools, and without lists for the *cleared* agents.

    Raises ValidationError; InvalidError for an agent in both.
    """
    if both := sorted({*lists} & {*cleared}):
        raise InvalidError(f"{both[0]} is in --tool and in --any-tool: leave one of them out")
    kept = {agent: names for agent, names in tenant.tools.items() if agent not in cleared}
    return Tenant.model_validate({**tenant.model_dump(), "tools": {**kept, **lists}})


def with_taint(tenant: Tenant, accepted: Mapping[str, tuple[str, ...]]) -> Tenant:
    """Return *tenant* with these sources of untrusted text for these tools; a tool without any loses its entry.

    Raises ValidationError.
    """
    lists = {tool: sources for tool, sources in {**tenant.accepts_taint_from, **accepted}.items() if sources}
    return Tenant.model_validate({**tenant.model_dump(), "accepts_taint_from": lists})
