"""The usage of a run so far. It is counted also if the run fails, expires or is cancelled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from schemas.results import Usage

NOTHING = Usage()
"""Usage of a run that has called no model."""


@dataclass(slots=True)
class Spending:
    """The usage of one run, its earlier attempts included. The step adds to it while it runs."""

    input_tokens: int = 0
    output_tokens: int = 0
    model_calls: int = 0
    tool_calls: int = 0
    counted: Callable[[Usage], None] = lambda _: None
    """Called with the usage after each answered call."""

    def resume(self, usage: Usage) -> None:
        """Continue from the usage of the earlier attempts."""
        self.input_tokens, self.output_tokens = usage.input_tokens, usage.output_tokens
        self.model_calls, self.tool_calls = usage.model_calls, usage.tool_calls

    def add(self, input_tokens: int, output_tokens: int) -> None:
        """Count one answered call."""
        self.model_calls += 1
        self.input_tokens += input_tokens
        self.output_tokens += output_tokens
        self.counted(self.usage)

    def add_tool_call(self) -> None:
        """Count one call of a tool."""
        self.tool_calls += 1
        self.counted(self.usage)

    @property
    def usage(self) -> Usage:
        """The usage so far."""
        if not (self.model_calls or self.tool_calls):
            return NOTHING
        return Usage(
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            model_calls=self.model_calls,
            tool_calls=self.tool_calls,
        )
