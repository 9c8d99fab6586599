"""A planner that has the model write a plan first, and then carry it out with tools.

Wang et al., "Plan-and-Solve Prompting", 2023.
"""

from __future__ import annotations

from consumers.agent.models.port import UserMessage
from consumers.agent.planners.port import Action, CallModel, PlanState
from consumers.agent.planners.react import react

PLAN = "First write a short numbered plan for this task. Do not carry it out yet."
CARRY_OUT = "Carry out the plan step by step with the tools. Then answer the task, without the plan."


def plan_execute(state: PlanState) -> Action:
    """Ask for a plan without tools, then go on as ``react`` does."""
    if state.model_calls == 0:
        return CallModel((UserMessage(PLAN),), offers_tools=False)
    if state.model_calls == 1:
        return CallModel((UserMessage(CARRY_OUT),))
    return react(state)
