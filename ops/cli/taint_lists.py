"""Parse ``--accept-taint TOOL=SOURCE,SOURCE``: the untrusted sources that may influence the calls of a tool."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ops.errors import InvalidError

SOURCE = re.compile(r"(tool|memory):\S+|\*")


def taint_lists(given: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the sources by tool; ``TOOL=`` means none. Raises InvalidError."""
    found: dict[str, tuple[str, ...]] = {}
    for text in given:
        tool, equals, sources = text.partition("=")
        tool = tool.strip()
        if not (equals and tool):
            raise InvalidError(
                f"`--accept-taint {text}` names no tool: write TOOL=SOURCE,SOURCE, or TOOL= for no source"
            )
        if tool in found:
            raise InvalidError(f"`--accept-taint {text}`: {tool} has a list already; write all its sources in one")
        found[tool] = tuple(source.strip() for source in sources.split(",")) if sources.strip() else ()
        _check(text, found[tool])
    return found


def _check(text: str, sources: Iterable[str]) -> None:
    for source in sources:
        if not SOURCE.fullmatch(source):
            raise InvalidError(f"`--accept-taint {text}`: {source!r} is no source: write tool:NAME, memory:NAME or *")
