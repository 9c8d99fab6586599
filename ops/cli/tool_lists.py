"""Parse ``--tool AGENT=TOOL,TOOL``: the tools that an agent may use for a tenant."""

from __future__ import annotations

from collections.abc import Iterable

from ops.errors import InvalidError


def tool_lists(given: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the tools by agent; ``AGENT=`` means none. Raises InvalidError."""
    found: dict[str, tuple[str, ...]] = {}
    for text in given:
        agent, equals, names = text.partition("=")
        agent = agent.strip()
        if not (equals and agent):
            raise InvalidError(f"`--tool {text}` names no agent: write AGENT=TOOL,TOOL, or AGENT= for no tool")
        if agent in found:
            raise InvalidError(f"`--tool {text}`: {agent} has a list already; write all its tools in one, with commas")
        found[agent] = tuple(name.strip() for name in names.split(",")) if names.strip() else ()
    return found
