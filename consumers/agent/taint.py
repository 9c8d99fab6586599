"""Taint: the untrusted sources of a run's texts, and the rule for tool calls that they may influence.

Taint is provenance. No detector sets or clears it, and a run cannot lose it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from consumers.agent.provenance import Source
from consumers.agent.seams import StepScope, tenant_tools
from consumers.agent.tools.tool import Tool
from schemas.errors import ToolDeniedError

ANY: Final = "*"
"""In ``accepts_taint_from``: every source."""

OUTWARD: Final = frozenset({"external_api", "memory_write", "agent_delegate"})
"""Capabilities that a tainted run may not use, also for tools that change nothing."""

SHOWN: Final = 5
"""Sources that an error names."""


def taint_of(sources: Iterable[Source]) -> tuple[str, ...]:
    """Return the untrusted sources as ``tool:NAME`` and ``memory:NAME``, sorted. It is empty for a clean run.

    The texts of models and agents have the taint of what these have read. Users and operators are trusted.
    """
    return tuple(sorted({f"{each.kind}:{each.name}" for each in sources if _untrusted(each)}))


def _untrusted(source: Source) -> bool:
    return source.kind in ("tool", "memory") and not source.trusted


async def base_policy(tool: Tool, arguments: Mapping[str, Any], scope: StepScope) -> None:
    """Allow the tools of the tenant's record; in a tainted run only those that read within the platform.

    A tainted run may also use a tool whose ``accepts_taint_from`` has all of the run's untrusted sources.
    """
    await tenant_tools(tool, arguments, scope)
    if tool.risk != "read_only" or tool.capability in OUTWARD:
        check_taint(tool.name, scope)


def check_taint(tool: str, scope: StepScope) -> None:
    """Raise ToolDeniedError if the run has read a source that may not influence the calls of *tool*."""
    tenant = scope.run.tenant
    accepted = tenant.accepts_taint_from.get(tool, ())
    refused = [each for each in taint_of(scope.sources) if each not in accepted]
    if refused and ANY not in accepted:
        raise ToolDeniedError(_denial(tool, refused, tenant.id))


def _denial(tool: str, refused: list[str], tenant: str) -> str:
    named = ", ".join(refused[:SHOWN]) + (f" and {len(refused) - SHOWN} more" if len(refused) > SHOWN else "")
    return (
        f"the tool {tool} is denied because the run has read untrusted text from {named}:"
        f" list these in accepts_taint_from[{tool}] of the tenant {tenant} to allow it"
    )
