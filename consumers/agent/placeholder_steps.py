"""The placeholders that a run begins with: those of its recorded steps, and those of its request."""

from __future__ import annotations

from consumers.agent.run_state import RunState
from consumers.agent.step_values import ToolStep, decode
from schemas.stage_records import Screened

_PLACEHOLDERS = b'"placeholders":{"'


def keep_recorded(state: RunState) -> None:
    """Note the placeholders of all recorded tool calls: the calls that follow must not give their numbers again."""
    for step, value in state.steps.recorded():
        if ".tool." in step and _PLACEHOLDERS in value:
            recorded: ToolStep = decode(ToolStep, value)
            state.placeholders.keep(recorded.outcome.placeholders)


def take_request(state: RunState, screened: Screened) -> str:
    """Return the request's text with the numbers of its session. The guard stage numbers each request from 1."""
    if not (screened.placeholders or state.placeholders.known):
        return screened.text
    text = state.placeholders.take(screened.text, screened.placeholders)
    state.placeholders.note_own(state.placeholders.within(text))
    return text
