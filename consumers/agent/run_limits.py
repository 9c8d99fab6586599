"""The limits of one run of an agent."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLimits:
    """The most that one run may do. A run that reaches a limit fails with ``steps_exhausted`` or ``loop_detected``.

    The limits of the agent that the request names hold for the whole run, handoffs and delegates included.
    """

    steps: int = 32
    """Model calls."""

    tokens: int | None = None
    """Input and output tokens together. None: no limit."""

    usd: float | None = None
    """Cost in US dollars by the price table. None: no limit."""

    seconds: float | None = None
    """Seconds of one attempt, beside the request's deadline. None: no limit."""

    repeats: int = 3
    """Calls of one tool with the same arguments and the same result. One more is a loop."""

    handoffs: int = 8
    """Handoffs of one run, and the depth of delegates."""
