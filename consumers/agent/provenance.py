"""The source of a text: which user, model, tool, memory or agent it came from. Taint rules depend on it."""

from __future__ import annotations

from typing import Literal

from schemas.models import Payload


class Source(Payload):
    """The origin of one text of a run. It is stored with journal steps and memory entries."""

    kind: Literal["operator", "user", "model", "tool", "memory", "agent"]
    name: str = ""
    """Name of the tool, model, memory or agent; the caller's subject for ``user``."""

    trusted: bool = False
    """True for a tool or a memory that the operator has declared free of other people's instructions."""


OPERATOR = Source(kind="operator")
