"""The default planner: the model calls tools until it answers without one.

Yao et al., "ReAct: Synergizing Reasoning and Acting in Language Models", 2022, by the model's own tool calling.
"""

from __future__ import annotations

from consumers.agent.models.port import AssistantMessage
from consumers.agent.planners.port import Action, CallModel, CallTools, Finish, PlanState


def react(state: PlanState) -> Action:
    """Call the tools that the model asked for, else finish with its answer, else ask it."""
    match state.messages[-1]:
        case AssistantMessage(_, (_, *_) as calls):
            return CallTools(tuple(calls))
        case AssistantMessage(text, ()):
            return Finish(text)
        case _:
            return CallModel()
